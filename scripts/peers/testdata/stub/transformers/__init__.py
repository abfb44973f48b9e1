"""A model that insists on being called as the timed loop should call it."""

import os
import types

import torch

__version__ = os.environ.get("STUB_TRANSFORMERS", "5.17.0")
OLD = __version__.startswith("4.4")


class AutoConfig:
    @staticmethod
    def for_model(kind, **config):
        if kind == os.environ.get("STUB_CRASHES"):
            os.abort()
        return types.SimpleNamespace(_attn_implementation="stub", **config)


class Cache:
    def __init__(self):
        self.ids = []


class DynamicCache(Cache):
    pass


if OLD:
    class StaticCache(Cache):
        def __init__(self, config, batch_size, max_cache_len, device, dtype):
            super().__init__()
            self.length = max_cache_len

        def reset(self):
            self.ids = []
else:
    class StaticCache(Cache):
        def __init__(self, config, max_cache_len, offloading=False):
            super().__init__()
            self.length = max_cache_len

        def reset(self):
            self.ids = []


class Model:
    def __init__(self, config, dtype):
        self.config, self.dtype, self.sampled = config, dtype, None
        if OLD:
            self.forward = lambda input_ids, past_key_values, use_cache, cache_position, num_logits_to_keep=0: (
                self.look(input_ids, past_key_values, cache_position.values))
        else:
            self.forward = lambda input_ids, past_key_values, use_cache, logits_to_keep=0: (
                self.look(input_ids, past_key_values, None))

    def eval(self):
        return self

    def parameters(self):
        return [torch.Tensor([0] * 10, self.dtype)]

    def __call__(self, **inputs):
        return self.forward(**inputs)

    def look(self, ids, cache, positions):
        before = len(cache.ids)
        cache.ids += ids.values
        assert before == 0 or ids.values == [self.sampled], "a step is fed the token sampled before it"
        assert (before == 0) == (len(ids.values) > 1), "a prefill starts with an empty cache, a step with a full one"
        assert positions in (None, list(range(before, len(cache.ids)))), f"positions {positions} after {before}"
        assert len(cache.ids) <= getattr(cache, "length", len(cache.ids)), "no more positions than asked for"
        self.sampled = (7 * sum(cache.ids) + len(cache.ids)) % self.config.vocab_size
        if trace := os.environ.get("STUB_TRACE"):
            with open(trace, "a", encoding="utf-8") as f:
                f.write(f"{type(cache).__name__} {before}+{len(ids.values)}\n")
        return types.SimpleNamespace(logits=Logits(self.sampled))


class Logits:
    def __init__(self, best):
        self.best = best

    def __getitem__(self, at):
        assert at == (slice(None), slice(-1, None)), "only the last position is sampled"
        return self

    def argmax(self, dim):
        return torch.Tensor([self.best])


class AutoModelForCausalLM:
    @staticmethod
    def from_config(config, dtype=None, torch_dtype=None):
        assert (dtype is None) == OLD, "the name of the type is of the version"
        return Model(config, dtype or torch_dtype)
