"""Result rows → estimates, figures and the report. Needs no torch; `load`, `estimate` and `write_report` are the way in."""

from xtra_analysis import figures
from xtra_analysis.aggregates import estimate
from xtra_analysis.comparison import compare
from xtra_analysis.games import compare_games
from xtra_analysis.learning_curves import relative_efficiency, sample_efficiency
from xtra_analysis.matrices import InputError
from xtra_analysis.normalization import normalize
from xtra_analysis.profiles import performance_profiles
from xtra_analysis.report import write_report
from xtra_analysis.run_comparison import compare_runs
from xtra_analysis.scores_of_others import from_frame
from xtra_analysis.study import Study, load, read_study

__all__ = [
    "InputError",
    "Study",
    "compare",
    "compare_games",
    "compare_runs",
    "estimate",
    "figures",
    "from_frame",
    "load",
    "normalize",
    "performance_profiles",
    "read_study",
    "relative_efficiency",
    "sample_efficiency",
    "write_report",
]
