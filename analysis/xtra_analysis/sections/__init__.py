"""The parts of a report, one file each: a function from findings to a Section, or None where there is nothing to show."""
