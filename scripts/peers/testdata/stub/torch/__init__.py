"""As much of torch as transformers_bench.py uses, for tests on hosts without it."""

import contextlib
import os
from collections import Counter, defaultdict

__version__ = "0.0.stub"
float16, float32 = "torch.float16", "torch.float32"


class Tensor:
    def __init__(self, values, dtype="torch.int64"):
        self.values, self.dtype = list(values), dtype  # of one row

    @property
    def shape(self):
        return 1, len(self.values)

    def numel(self):
        return len(self.values)

    def item(self):
        (value,) = self.values
        return value

    def clone(self):
        return Tensor(self.values)

    def __getitem__(self, at):
        return Tensor(self.values[at])

    def __add__(self, n):
        return Tensor(v + n for v in self.values)


def tensor(rows, device=None):
    return Tensor(rows[0])


def arange(n, device=None):
    return Tensor(range(n))


def manual_seed(seed):
    pass


no_grad = device = lambda *args: contextlib.nullcontext()


class cuda:
    is_available = staticmethod(lambda: False)


class compiler:
    cudagraph_mark_step_begin = staticmethod(lambda: None)


class _dynamo:
    class config:
        recompile_limit = 8

    class utils:
        counters = defaultdict(Counter)


def compile(function, mode, dynamic):
    if mode == os.environ.get("STUB_REFUSES", ""):
        raise RuntimeError(f"no compiler for {mode}")
    seen = set()

    def compiled(ids, *more):
        if ids.shape not in seen:
            seen.add(ids.shape)
            counters = _dynamo.utils.counters
            counters["stats"]["unique_graphs"] += 1
            if mode == "reduce-overhead":
                counters["inductor"][os.environ.get("STUB_COUNTS", "cudagraph_recorded_non_static_inputs")] += 1
        return function(ids, *more)

    return compiled
