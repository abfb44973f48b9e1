#!/usr/bin/env python3
"""Measure Hugging Face transformers on the shapes of the study.

The five models are built from their configurations with random weights, so
that nothing is downloaded, in three ways of running them:

  eager                    DynamicCache, every kernel launched from Python
  compile-reduce-overhead  StaticCache, torch.compile(mode="reduce-overhead")
  compile-default          StaticCache, torch.compile() in its default mode

A repetition is what `bench run` times as a row, so that both do the same work.
Prefill is from the call with the prompt, which lies on the device already, to
the first sampled token on the host. Decode is exactly gen_tokens steps: each
feeds the token sampled by the step before, and copies the token that it samples
to the host, which waits for the device once a step. The clock is read around
the phases only. Tokens are the argmax over the logits of the last position,
chosen on the device and, in the compile modes, inside the compiled function.
The cache is emptied before the clock starts, and a prefill that does not count
comes first, so that the device is awake. With --before a whole repetition that
does not count precedes each, since others had the device and its caches.

Warm-ups are 2 in eager and 5 in the compile modes, and are not written. All
modes and scenarios of a model are made ready first; then repetitions go round
over them, so that what drifts hits all alike. --before runs a command before
each round of a scenario, by which other programs take part in that.

Rows are appended to a CSV file one by one, synced, in the format that
`bench import` reads. With --skip-done a call that was cut goes on where it was.

With --window-s the first three repetitions of a cell are each followed by a
window of prefills and one of whole requests. Power is the slope of NVML's
energy counter between its first and last step inside; the energy of decode is
that of the requests less that of their prefills. Without NVML those columns
stay empty.

Needs torch and transformers; written for transformers 4.44 to 5. Exit code 0:
all measured, 1: some were not, 2: wrong usage, 3: the command of --before failed.
"""

import argparse
import csv
import datetime
import hashlib
import inspect
import itertools
import os
import random
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SEED = 42
COLUMNS = [
    "model", "backend", "origin", "scenario", "launch", "rep", "prompt_tokens", "gen_tokens", "prefill_ms", "decode_ms",
    "synthetic", "timestamp", "device", "device_kind", "engine_version", "token_hash", "power_period_ms",
    "prefill_window_s", "prefill_window_w", "prefill_window_tok_s", "decode_window_s", "decode_window_w", "decode_window_tok_s",
]
WARMUPS = {"eager": 2, "compile-reduce-overhead": 5, "compile-default": 5}
SCENARIOS = {"medium_prompt": (256, 128), "decode_heavy": (64, 512)}
WINDOWS = 3  # of energy, of each phase of a cell
RAMP_S = 0.5  # of a window before it counts
BEFORE_FAILED = 3  # exit code


@dataclass(frozen=True)
class Shape:
    """A published model: its learned weights, and its config.json as far as shapes go."""

    name: str
    params: int
    type: str  # transformers' model_type
    config: dict


def llama(layers, width, heads, head_dim):
    return dict(
        vocab_size=128256, hidden_size=width, intermediate_size=8192, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=8, head_dim=head_dim, rms_norm_eps=1e-5,
        max_position_embeddings=131072, rope_theta=500000.0, tie_word_embeddings=True,
        bos_token_id=128000, eos_token_id=128001)


SHAPES = [
    Shape("gpt2", 124439808, "gpt2", dict(
        vocab_size=50257, n_embd=768, n_layer=12, n_head=12, n_positions=1024, tie_word_embeddings=True)),
    Shape("llama-3.2-1b", 1235814400, "llama", llama(16, 2048, 32, 64)),
    Shape("qwen2.5-1.5b", 1543714304, "qwen2", dict(
        vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
        num_attention_heads=12, num_key_value_heads=2, rms_norm_eps=1e-6,
        max_position_embeddings=131072, rope_theta=1000000.0, tie_word_embeddings=True)),
    Shape("phi-2", 2779683840, "phi", dict(
        vocab_size=51200, hidden_size=2560, intermediate_size=10240, num_hidden_layers=32,
        num_attention_heads=32, partial_rotary_factor=0.4, max_position_embeddings=2048,
        tie_word_embeddings=False)),
    Shape("llama-3.2-3b", 3212749824, "llama", llama(28, 3072, 24, 128)),
]
# Replaces sizes with --tiny, to try the script where there is no GPU.
TINY = dict(
    vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, head_dim=32, n_embd=64, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1)


def main():
    args = parse_args()
    if len(args.models) > 1:
        return one_by_one(args.models)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    try:
        import torch
        import transformers
    except ImportError as e:
        say(f"{e}; install torch and transformers, or run this with the python3 that has them")
        return 2
    if args.device == "cuda" and not torch.cuda.is_available():
        say("torch sees no CUDA device; --device cpu --tiny only tries the script")
        return 2
    host = Host(torch, transformers, args)
    say(f"{host.version}, on {host.device_name}")
    rows = Rows(args.out, args.skip_done)
    counter = energy_counter() if args.window_s and args.device == "cuda" else None
    if args.window_s and counter is None:
        say("no energy counter of NVML: windows are left out")
    failed = measure_model(args.shape, args, host, rows, counter)
    say(f"rows written: {rows.written}, failed cells: {failed}")
    return 1 if failed else 0


def one_by_one(models):
    """Measures each model in a process of its own, so that a crash costs no other model."""
    worst = 0
    for name in models:
        code = subprocess.run([sys.executable, *sys.argv, "--skip-done", "--models", name]).returncode
        if code in (2, BEFORE_FAILED):  # so would it be with the next
            return code
        if code:
            say(f"{name}: ended with {code}")
            worst = 1
    return worst


def parse_args():
    p = argparse.ArgumentParser(
        usage="scripts/peers/transformers_bench.py --out FILE.csv [flags]",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="rows are appended to it")
    p.add_argument("--skip-done", action="store_true", help="leave out repetitions that FILE.csv has; without it the file must be new")
    p.add_argument("--models", default=",".join(s.name for s in SHAPES), help="separated by commas (default: all five)")
    p.add_argument("--modes", default=",".join(WARMUPS), help="separated by commas (default: all three)")
    p.add_argument("--scenarios", default=",".join(SCENARIOS), help="separated by commas, of the study or as NAME=PROMPT+GEN (default: %(default)s)")
    p.add_argument("--reps", type=count, default=5, help="repetitions of each cell (default: 5)")
    p.add_argument("--launch", type=natural, default=0, help="number of this process among those that measure the same, from 0")
    p.add_argument("--before", metavar="COMMAND", help="run by sh before each round of a scenario, with MODEL, SCENARIO, PROMPT_TOKENS, GEN_TOKENS, LAUNCH and REP in its environment")
    p.add_argument("--window-s", type=float, default=0, help="seconds of an energy window, e.g. 3 (default: none)")
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    p.add_argument("--tiny", action="store_true", help="two narrow layers, named tiny-MODEL: to try the script")
    args = p.parse_args()
    known = {s.name: s for s in SHAPES}
    args.models = args.models.split(",")
    for name in args.models:
        if name not in known:
            p.error(f"--models: {name} is none of {', '.join(known)}")
    args.shape = known[args.models[0]]
    if args.tiny:
        s = args.shape
        args.shape = Shape("tiny-" + s.name, 0, s.type, s.config | {k: v for k, v in TINY.items() if k in s.config})
    args.modes = args.modes.split(",")
    for mode in args.modes:
        if mode not in WARMUPS:
            p.error(f"--modes: {mode} is none of {', '.join(WARMUPS)}")
    try:
        args.scenarios = dict(scenario(text) for text in args.scenarios.split(","))
    except ValueError:
        p.error(f"--scenarios: need names of {', '.join(SCENARIOS)} or NAME=PROMPT+GEN, not {args.scenarios}")
    if args.window_s < 0:
        p.error("--window-s: need seconds above 0")
    if args.out.exists() and not args.skip_done:
        p.error(f"{args.out} is there already: name a new file, or go on with --skip-done")
    return args


def scenario(text):
    name, given, shape = text.partition("=")
    if not given:
        if name not in SCENARIOS:
            raise ValueError(text)
        return name, SCENARIOS[name]
    prompt, gen = (count(n) for n in shape.split("+"))
    return name, (prompt, gen)


def count(text):
    return natural(text, least=1)


def natural(text, least=0):
    if (n := int(text)) < least:
        raise ValueError(text)
    return n


class Rows:
    """The CSV file: what it holds, and how a row gets there so that a cut loses none."""

    def __init__(self, path, skip_done):
        self.done, self.written = set(), 0
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if skip_done and path.exists() else ""
        whole = text[:text.rfind("\n") + 1]  # a cut may have left half a row
        reader = csv.DictReader(whole.splitlines())
        if whole and reader.fieldnames != COLUMNS:
            say(f"{path}:1: other columns than this writes; name a new file")
            sys.exit(2)
        self.done = {key(r) for r in reader}
        self.file = open(path, "a", newline="", encoding="utf-8")
        self.file.truncate(len(whole.encode()))
        self.csv = csv.DictWriter(self.file, COLUMNS, lineterminator="\n")
        if not whole:
            self.csv.writeheader()

    def add(self, row):
        self.csv.writerow(row)
        self.file.flush()
        os.fsync(self.file.fileno())
        self.done.add(key(row))
        self.written += 1


def key(row):
    return row["model"], row["backend"], row["scenario"], str(row["launch"]), str(row["rep"])


class Host:
    """What is installed and what it runs on."""

    def __init__(self, torch, transformers, args):
        self.torch, self.transformers, self.device = torch, transformers, args.device
        self.dtype = torch.float16 if args.device == "cuda" else torch.float32
        self.device_name = torch.cuda.get_device_name(0) if args.device == "cuda" else cpu_name()
        self.version = f"transformers {transformers.__version__}, torch {torch.__version__}, " + (
            f"CUDA {torch.version.cuda}, " if args.device == "cuda" else "") + str(self.dtype).removeprefix("torch.")
        # Over this many versions of one function torch would silently stop
        # compiling; every cell has two.
        for name in "recompile_limit", "cache_size_limit":
            if hasattr(getattr(torch, "_dynamo", None), "config") and hasattr(torch._dynamo.config, name):
                setattr(torch._dynamo.config, name, 64)

    def sync(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def compiled(self):
        """Returns what torch.compile counted so far: 0 of what it does not count."""
        try:
            counters = self.torch._dynamo.utils.counters
        except AttributeError:
            counters = {}
        inductor = counters.get("inductor", {})
        return Counter(
            graphs=counters.get("stats", {}).get("unique_graphs", 0),
            breaks=sum(counters.get("graph_break", {}).values()),
            cuda_graphs_refused=inductor.get("cudagraph_skips", 0),
            cuda_graph_inputs=inductor.get("cudagraph_recorded_non_static_inputs", 0))


def build(shape, host):
    """Makes the model with random weights, on the device and in half precision from the start."""
    torch, transformers = host.torch, host.transformers
    config = transformers.AutoConfig.for_model(shape.type, **shape.config)
    dtype = "dtype" if release(transformers.__version__) >= (4, 56) else "torch_dtype"
    torch.manual_seed(SEED)
    with torch.device(host.device):
        model = transformers.AutoModelForCausalLM.from_config(config, **{dtype: host.dtype})
    model = model.eval()
    if wrong := {str(p.dtype) for p in model.parameters()} - {str(host.dtype)}:
        raise ValueError(f"weights of {', '.join(wrong)} instead of {host.dtype}")
    params = sum(p.numel() for p in model.parameters())
    if shape.params and params != shape.params:
        raise ValueError(f"{params} weights, the published model has {shape.params}")
    return model


def release(version):
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def new_cache(host, model, static, length):
    """Makes an empty cache; its constructor has changed over the versions of transformers."""
    if not static:
        return host.transformers.DynamicCache()
    kind = host.transformers.StaticCache
    known = inspect.signature(kind.__init__).parameters
    options = dict(config=model.config, max_cache_len=length, max_batch_size=1, device=host.device, dtype=host.dtype)
    if "batch_size" in known:
        options["batch_size"] = options.pop("max_batch_size")
    if not any(p.kind == p.VAR_KEYWORD for p in known.values()):
        options = {name: value for name, value in options.items() if name in known}
    return kind(**options)


class Request:
    """One prompt and what follows it: reset, then prefill, then steps.

    prefill and step return the sampled token once it is on the host.
    """

    def __init__(self, host, model, mode, prompt, gen):
        torch = host.torch
        self.host, self.model, self.gen = host, model, gen
        self.static, self.graphs = mode != "eager", mode == "compile-reduce-overhead"
        ids = random.Random(SEED).choices(range(model.config.vocab_size), k=prompt)
        self.prompt = torch.tensor([ids], device=host.device)
        self.cache = new_cache(host, model, self.static, prompt + gen)
        takes = inspect.signature(model.forward).parameters
        # The logits of all other positions are for nothing.
        last = {name: 1 for name in ("logits_to_keep", "num_logits_to_keep") if name in takes}
        self.counts = "cache_position" in takes  # newer caches count by themselves

        def sample(ids, cache, position):
            more = last if position is None else last | {"cache_position": position}
            return model(input_ids=ids, past_key_values=cache, use_cache=True, **more).logits[:, -1:].argmax(-1)

        self.sample = sample
        if self.static:
            # A cache makes its tensors in its first call, and only outside a
            # compiled function can it pin them for CUDA graphs.
            self.reset()
            self.prefill()
            self.sample = torch.compile(sample, mode="reduce-overhead" if self.graphs else None, dynamic=False)

    def reset(self):
        if self.static:
            self.cache.reset()
        else:
            self.cache = new_cache(self.host, self.model, False, 0)
        self.position = self.host.torch.arange(self.prompt.shape[1], device=self.host.device) if self.counts else None

    def prefill(self):
        return self.run(self.prompt)

    def step(self):
        return self.run(self.token)

    def run(self, ids):
        if self.graphs:
            self.host.torch.compiler.cudagraph_mark_step_begin()
        self.token = self.sample(ids, self.cache, self.position)
        token = self.token.item()
        if self.graphs:  # the next replay writes over what this one returned
            self.token = self.token.clone()
        if self.position is not None:
            self.position = self.position[-1:] + 1
        return token


def timed(request, sync, clock=time.perf_counter):
    """Runs one request and returns prefill and decode in ms, and its tokens."""
    request.reset()
    request.prefill()
    request.reset()
    sync()
    start = clock()
    tokens = [request.prefill()]
    first = clock()
    for _ in range(request.gen):
        tokens.append(request.step())
    end = clock()
    return (first - start) * 1e3, (end - first) * 1e3, tokens


@dataclass
class Cell:
    """A mode and a scenario of a model, ready to be repeated."""

    backend: str
    scenario: str
    request: Request
    version: str
    tokens: list | None = None


def measure_model(shape, args, host, rows, counter):
    """Measures what is missing of a model; returns how many of its cells failed."""
    def missing(mode, name, rep):
        return (shape.name, "transformers-" + mode, name, str(args.launch), str(rep)) not in rows.done

    todo = [(mode, name) for name in args.scenarios for mode in args.modes if any(missing(mode, name, r) for r in range(args.reps))]
    if not todo:
        say(f"{shape.name}: nothing is missing")
        return 0
    failed, cells = 0, {}
    with host.torch.no_grad():
        try:
            model = build(shape, host)
        except Exception as e:
            failure(shape.name, e)
            return len(todo)
        for mode, name in todo:
            try:
                cells[mode, name] = prepare(shape, model, mode, name, args, host)
            except Exception as e:
                failure(f"{shape.name} {mode} {name}", e)
                failed += 1
        alike(shape.name, args, cells)
        graphs = host.compiled()["graphs"]
        for rep in range(args.reps):
            for name, (prompt, gen) in args.scenarios.items():
                turn = [(mode, cells[mode, name]) for mode in args.modes if (mode, name) in cells and missing(mode, name, rep)]
                if args.before and turn:
                    before(args, shape.name, name, prompt, gen, rep)
                for mode, cell in turn:
                    try:
                        rows.add(row(shape, cell, args, host, rep, prompt, gen, counter))
                    except Exception as e:
                        failure(f"{shape.name} {mode} {name} rep {rep}", e)
                        del cells[mode, name]
                        failed += 1
        if host.compiled()["graphs"] != graphs:
            say(f"{shape.name}: WARNING: something was compiled while repetitions were timed; leave those rows out")
    return failed


def alike(model, args, cells):
    """Says from which token on the modes choose otherwise; in half precision near ties may."""
    for name in args.scenarios:
        of = [(mode, cells[mode, name].tokens) for mode in args.modes if (mode, name) in cells]
        for mode, tokens in of[1:]:
            same = sum(1 for _ in itertools.takewhile(lambda both: both[0] == both[1], zip(of[0][1], tokens)))
            say(f"{model} {name}: {mode} begins with {same} of the {len(tokens)} tokens of {of[0][0]}")


def prepare(shape, model, mode, name, args, host):
    start = time.monotonic()
    counted = host.compiled()
    request = Request(host, model, mode, *args.scenarios[name])
    for _ in range(WARMUPS[mode]):
        _, _, tokens = timed(request, host.sync)
    version = f"{host.version}, attention {getattr(model.config, '_attn_implementation', 'unknown')}"
    if request.static:
        new = host.compiled()
        new.subtract(counted)
        version += compiled_otherwise(new, request.graphs)
        say(f"{shape.name} {mode} {name}: compiled {', '.join(f'{n} {what}' for what, n in new.items())}")
    say(f"{shape.name} {mode} {name}: ready after {time.monotonic() - start:.1f} s; {version}")
    return Cell("transformers-" + mode, name, request, version, tokens)


def compiled_otherwise(new, graphs):
    """Returns what rows must tell when torch did not compile one graph of prefill and one of a step."""
    said = ""
    if new["breaks"] or new["graphs"] != 2:
        said += f", {new['graphs']} graphs with {new['breaks']} breaks by torch's count"
    if graphs and new["cuda_graphs_refused"]:
        said += ", CUDA graphs refused by torch"
    elif graphs and not new["cuda_graph_inputs"]:
        said += ", no CUDA graphs by torch's count"
    return said


def before(args, model, name, prompt, gen, rep):
    about = dict(MODEL=model, SCENARIO=name, PROMPT_TOKENS=prompt, GEN_TOKENS=gen, LAUNCH=args.launch, REP=rep)
    done = subprocess.run(["sh", "-c", args.before], env=os.environ | {k: str(v) for k, v in about.items()})
    if done.returncode:
        say(f"--before ended with {done.returncode} before rep {rep} of {model} {name}; go on with --skip-done")
        sys.exit(BEFORE_FAILED)


def row(shape, cell, args, host, rep, prompt, gen, counter):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    if args.before:  # others had the device and its caches since
        timed(cell.request, host.sync)
    prefill, decode, tokens = timed(cell.request, host.sync)
    if tokens != cell.tokens:  # the same prompt and weights: something is left in the cache
        say(f"{shape.name} {cell.backend} {cell.scenario} rep {rep}: WARNING: other tokens than in the warm-up")
    say(f"{shape.name} {cell.backend} {cell.scenario} rep {rep}: prefill {prefill:.2f} ms, decode {gen / decode * 1e3:.1f} tok/s")
    out = dict(
        model=shape.name, backend=cell.backend, origin="transformers", scenario=cell.scenario, launch=args.launch, rep=rep,
        prompt_tokens=prompt, gen_tokens=gen, prefill_ms=f"{prefill:.6f}", decode_ms=f"{decode:.6f}", synthetic="true",
        timestamp=now, device=host.device_name, device_kind="gpu" if host.device == "cuda" else "cpu", engine_version=cell.version,
        token_hash=hashlib.sha256(repr(tokens).encode()).hexdigest()[:16])
    return out | (windows(cell.request, args.window_s, counter, prompt, gen) if counter and rep < WINDOWS else {})


def windows(request, seconds, counter, prompt, gen):
    """Returns the columns of the two energy windows; none where the counter did not move twice."""
    def prefill():
        request.reset()
        request.prefill()

    def whole():
        prefill()
        for _ in range(gen):
            request.step()

    one, both = window(prefill, seconds, counter), window(whole, seconds, counter)
    if not one or not both:
        return {}
    # What a request takes longer than its prefill is decode, in time and energy.
    decode_s = both.each_s - one.each_s
    decode_j = both.watts * both.each_s - one.watts * one.each_s
    if decode_s <= 0 or decode_j <= 0:
        return {}
    columns = dict(
        power_period_ms=max(one.period_s, both.period_s) * 1e3,
        prefill_window_s=one.open_s, prefill_window_w=one.watts, prefill_window_tok_s=prompt / one.each_s,
        decode_window_s=both.open_s, decode_window_w=decode_j / decode_s, decode_window_tok_s=gen / decode_s)
    return {name: f"{value:.6g}" for name, value in columns.items()}


@dataclass
class Window:
    open_s: float
    watts: float  # mean
    each_s: float  # time of one repetition
    period_s: float  # between two steps of the counter


def window(work, seconds, counter, clock=time.perf_counter):
    """Repeats work for so long after a ramp-in; None when the counter, in mJ, did not move twice."""
    ramp = clock() + RAMP_S
    while clock() < ramp:
        work()
    steps, stop = [], threading.Event()

    def watch():
        last = counter()
        while not stop.wait(0.02):
            if (now := counter()) != last:
                last = now
                steps.append((clock(), now))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, n = clock(), 0
    while clock() < start + seconds:
        work()
        n += 1
    end = clock()
    stop.set()
    watcher.join()
    steps = [s for s in steps if s[0] <= end]
    if len(steps) < 2:
        return None
    (t0, e0), (t1, e1) = steps[0], steps[-1]
    return Window(end - start, (e1 - e0) / 1e3 / (t1 - t0), (end - start) / n, (t1 - t0) / (len(steps) - 1))


def energy_counter():
    """Returns a function that reads the energy of the first GPU in mJ; None where there is none."""
    try:
        import pynvml

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
    except Exception as e:
        say(f"NVML: {type(e).__name__}: {e}")
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(device)


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "CPU"


def failure(what, e):
    traceback.print_exc()
    sys.stderr.flush()
    say(f"FAILED: {what}: {type(e).__name__}: {e}")


START = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - START:6.1f} s] transformers_bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
