from xtra.search.engine import EngineName

TREE_HEADER_BYTES: int
TREE_ERROR_OFFSET: int
WARPS_PER_BLOCK: int

def instruction_sets() -> list[EngineName]: ...
def warp_chunks(num_actions: int) -> int: ...

class Layout:
    node_bytes: int
    tree_bytes: int
    prior: int
    q: int
    child_visits: int
    child: int
    def __init__(self, num_actions: int, num_slots: int) -> None: ...

class Rules:
    def __init__(
        self,
        *,
        discount: float,
        value_delta_max: float,
        root_exploration_fraction: float,
        gumbel_value_scale: float,
        gumbel_min_span: float,
        gumbel_visit_offset: float,
        num_simulations: int,
        lstm_horizon: int,
        max_considered_actions: int,
        min_max: int,
        policy: int,
        node_visits: bool,
        unvisited_min: bool,
    ) -> None: ...

def workspace_bytes(num_roots: int, num_actions: int, rules: Rules, memory: dict[str, int]) -> bytes: ...

class HashModel:
    def __init__(self, num_roots: int, num_actions: int, num_rows: int, memory: dict[str, int]) -> None: ...
    def infer(self, latents: int, states: int, actions: int) -> None: ...

class CpuEngine:
    instruction_set: str
    def __init__(
        self, num_roots: int, num_actions: int, rules: Rules, memory: dict[str, int], num_threads: int, instruction_set: str
    ) -> None: ...
    def reset(self, valid: int, weights: int) -> None: ...
    def shift(self, logits: int) -> None: ...
    def begin(self, noise: int, values: int, latents: int, states: int) -> tuple[int, int] | None: ...
    def step(self, simulation: int, values: int, prefixes: int, latents: int, states: int) -> tuple[int, int] | None: ...
