#!/usr/bin/env python3
"""Compare the engine's logits with those of Hugging Face transformers.

For each of four architectures a tiny checkpoint with random weights is made by
transformers and converted to an F16 GGUF file by llama.cpp's own converter.
`bench logits` evaluates a prompt and feeds 64 given tokens one by one;
transformers evaluates the same tokens in one pass, in fp32, from the same
fp16-valued weights. The relative error of a position is max|ours - theirs| over
max|theirs|. An architecture passes when the largest is below the tolerance and
both choose the same token wherever the gap between the two best logits is wider
than the error.

Two deliberate mistakes are measured beside it, logits of the next position and
positions counted by two: both must exceed the tolerance, or the check would not
notice much.

Needs torch, transformers, tokenizers, safetensors, sentencepiece and numpy, and
no network. Exit code 0: all passed, 1: some did not, 2: wrong usage.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

TOLERANCE = 2e-2
PREFILL, FORCED = 16, 64
SEED = 20260101
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Arch:
    """One architecture: a shape, and the tokenizer that its checkpoint carries."""

    name: str  # transformers' model_type
    vocab: str  # llama.cpp's models/ggml-vocab-NAME.gguf
    config: dict  # as in a published config.json
    rotary: tuple | None = None  # rotated dimensions of a head, and theta
    # What published files hold beside what transformers writes, and the
    # converter, or transformers itself, wants there.
    published: dict = field(default_factory=dict)


# Heads of 64 and 80 values, as the real models have; no CUDA flash attention
# kernel takes 32.
ARCHS = [
    Arch("llama", "llama-bpe", dict(
        vocab_size=128256, hidden_size=256, intermediate_size=688, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=2, head_dim=64, rms_norm_eps=1e-5,
        max_position_embeddings=2048, rope_theta=500000.0, tie_word_embeddings=True,
        bos_token_id=128000, eos_token_id=128001), (64, 500000.0)),
    Arch("qwen2", "qwen2", dict(
        vocab_size=151936, hidden_size=256, intermediate_size=704, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6,
        max_position_embeddings=2048, rope_theta=1000000.0, tie_word_embeddings=True,
        bos_token_id=151643, eos_token_id=151643), (64, 1000000.0)),
    Arch("gpt2", "gpt-2", dict(
        vocab_size=50257, n_embd=256, n_layer=4, n_head=4, n_positions=1024,
        bos_token_id=50256, eos_token_id=50256), published={"n_ctx": 1024}),
    Arch("phi", "gpt-2", dict(
        vocab_size=51200, hidden_size=320, intermediate_size=1280, num_hidden_layers=4,
        num_attention_heads=4, partial_rotary_factor=0.4, rope_theta=10000.0,
        max_position_embeddings=2048, tie_word_embeddings=False,
        bos_token_id=50256, eos_token_id=50256), (32, 10000.0), {"partial_rotary_factor": 0.4}),
]

# How the published tokenizers cut text before merging. Must agree with what the
# converter knows, which it recognises by a hash; GPT-2's cut is built in.
SPLIT = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                 r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
             r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}

# The second choice: run the converter with the vocabulary taken from llama.cpp's
# own vocabulary file. The tokenizer plays no role in the logits.
CONVERT_WITH_VOCAB = r'''
import json, runpy, sys
from pathlib import Path

converter, vocab, name, model = sys.argv[1:5]
sys.argv = [converter, *sys.argv[4:]]
sys.path.insert(0, str(Path(converter).parent))
sys.path.insert(1, str(Path(converter).parent / "gguf-py"))
import gguf
from conversion import get_model_class


def set_vocab(self):
    reader = gguf.GGUFReader(vocab)
    tokens, types, merges = (reader.get_field("tokenizer.ggml." + k).contents() for k in ("tokens", "token_type", "merges"))
    missing = range(len(tokens), self.hparams["vocab_size"])
    self.gguf_writer.add_tokenizer_model("gpt2")
    self.gguf_writer.add_tokenizer_pre(name)
    self.gguf_writer.add_token_list(tokens + ["[PAD%d]" % i for i in missing])
    self.gguf_writer.add_token_types(types + [gguf.TokenType.UNUSED for _ in missing])
    self.gguf_writer.add_token_merges(merges)


config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
get_model_class(config["architectures"][0]).set_vocab = set_vocab
runpy.run_path(converter, run_name="__main__")
'''


def main():
    args = parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    report = {"versions": versions(), "tolerance": TOLERANCE, "prefill": PREFILL, "forced": FORCED, "seed": SEED, "archs": []}
    print(json.dumps(report["versions"], indent=1), flush=True)
    for arch in ARCHS:
        if arch.name not in args.archs:
            continue
        say(f"== {arch.name}")
        result = {"arch": arch.name, "runs": []}
        report["archs"].append(result)
        try:
            check(arch, args, result)
        except Exception as e:
            result["error"] = failure(e)
    text = markdown(report)
    args.report.parent.mkdir(parents=True, exist_ok=True)
    args.report.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    args.report.with_suffix(".md").write_text(text, encoding="utf-8")
    print("\n" + text, flush=True)
    return 0 if all(passed(a) for a in report["archs"]) else 1


def parse_args():
    p = argparse.ArgumentParser(
        usage="scripts/check-transformers.py [flags]",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bench", type=Path, default=ROOT / "bench", help="our binary, built (default: ./bench of this tree)")
    p.add_argument("--llama", type=Path, default=ROOT / "third_party/llama.cpp", help="llama.cpp's sources: converter and vocabularies")
    p.add_argument("--work", type=Path, default=ROOT / "build/transformers", help="folder for checkpoints, about 0.5 GB")
    p.add_argument("--device", default="cpu", help="where our engine computes: cpu, cuda or cpu,cuda")
    p.add_argument("--archs", default=",".join(a.name for a in ARCHS), help="architectures, separated by commas (default: all four)")
    p.add_argument("--report", type=Path, default=ROOT / "results/transformers", help="write REPORT.json and REPORT.md")
    args = p.parse_args()
    args.devices, args.archs = args.device.split(","), args.archs.split(",")
    for given, known in (args.devices, ["cpu", "cuda"]), (args.archs, [a.name for a in ARCHS]):
        if unknown := set(given) - set(known):
            p.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    args.bench, args.llama, args.work = args.bench.resolve(), args.llama.resolve(), args.work.resolve()
    args.report = args.report.with_name(args.report.name.removesuffix(".json").removesuffix(".md") + ".json")
    for needed in args.bench, args.llama / "convert_hf_to_gguf.py", args.llama / "gguf-py", args.llama / "models":
        if not needed.exists():
            p.error(f"{needed} is not there")
    return args


def check(arch, args, result):
    """Fills result with the comparison of one architecture."""
    import torch

    folder = args.work / arch.name
    folder.mkdir(parents=True, exist_ok=True)
    vocab = read_vocab(args.llama, arch)
    weights = write_checkpoint(arch, folder)
    write_tokenizer(arch, vocab, folder)
    gguf_file = args.work / f"{arch.name}-f16.gguf"
    result["tokenizer"] = convert(arch, args, folder, gguf_file)

    ids = random.Random(SEED).sample(range(1000, vocab["normal"]), PREFILL + FORCED)
    positions = torch.arange(len(ids))
    theirs, result["rope"] = transformers_logits(arch, folder, weights, ids, positions, torch.float32, "cpu")
    mistaken, _ = transformers_logits(arch, folder, weights, ids, 2 * positions, torch.float32, "cpu")
    result["vocab"], result["positions"] = theirs.shape[1], theirs.shape[0]
    result["mistakes"] = {
        "next position": relative_error(theirs[1:], theirs[:-1]).max().item(),
        "positions counted by two": relative_error(mistaken, theirs).max().item(),
    }
    if torch.cuda.is_available():
        fp16, _ = transformers_logits(arch, folder, weights, ids, positions, torch.float16, "cuda")
        result["transformers_fp16"] = compare(fp16, theirs)
    for device in args.devices:
        for flash in "on", "off":
            run = {"device": device, "flash_attn": flash}
            result["runs"].append(run)
            try:
                ours = our_logits(args, gguf_file, ids, device, flash)
                if ours.shape != theirs.shape:
                    raise ValueError(f"we have {ours.shape} logits, transformers {theirs.shape}")
                run.update(compare(ours, theirs))
            except Exception as e:
                run["error"] = failure(e)
            say(f"   {device}, flash attention {flash}: " + (f"relative error {run['rel_max']:.2e}" if "rel_max" in run else "FAILED"))


def read_vocab(llama, arch):
    """Returns tokens, merges and special tokens of llama.cpp's vocabulary file."""
    if str(llama / "gguf-py") not in sys.path:
        sys.path.insert(0, str(llama / "gguf-py"))
    import gguf

    reader = gguf.GGUFReader(llama / f"models/ggml-vocab-{arch.vocab}.gguf")
    tokens, types, merges = (reader.get_field("tokenizer.ggml." + k).contents() for k in ("tokens", "token_type", "merges"))
    normal = next(i for i, t in enumerate(types) if t != gguf.TokenType.NORMAL)
    special = {i: tokens[i] for i, t in enumerate(types) if t == gguf.TokenType.CONTROL}
    return {"tokens": tokens, "merges": merges, "normal": normal, "special": special}


def write_checkpoint(arch, folder):
    """Writes a checkpoint with random weights and returns them by name."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    say("   making the checkpoint")
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(arch.name, **arch.config))
    torch.manual_seed(SEED)
    with torch.no_grad():
        for name, p in model.named_parameters():
            # Every layer adds about as much as the embedding brought, and norms
            # and biases are far from the ones and zeros they are made with: no
            # part of the model may be left out unnoticed.
            if p.dim() == 1:
                p.normal_(1.0 if name.endswith("weight") else 0.0, 0.1)
            elif any(part in name for part in ("embed_tokens", "wte", "wpe")):
                p.normal_(0.0, 0.05)
            else:
                # gpt2 keeps its matrices with the inputs first.
                p.normal_(0.0, p.shape[0 if arch.name == "gpt2" else 1] ** -0.5)
    model = model.half()
    model.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | arch.published, indent=2) + "\n", encoding="utf-8")
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def write_tokenizer(arch, vocab, folder):
    """Writes tokenizer.json and tokenizer_config.json of a byte-level BPE."""
    def byte_level(kind_of_space, regex):
        return {"type": "ByteLevel", "add_prefix_space": kind_of_space, "trim_offsets": True, "use_regex": regex}

    special = vocab["special"]
    bos, eos = special[arch.config["bos_token_id"]], special[arch.config["eos_token_id"]]
    split, post = byte_level(False, True), byte_level(True, True)
    if pattern := SPLIT.get(arch.vocab):
        split = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            byte_level(False, False),
        ]}
    if arch.vocab == "llama-bpe":  # which begins every text with its first special token
        def item(kind, name, type_id):
            return {kind: {"id": name, "type_id": type_id}}

        first = [item("SpecialToken", bos, 0), item("Sequence", "A", 0)]
        second = [item("SpecialToken", bos, 1), item("Sequence", "B", 1)]
        template = {"type": "TemplateProcessing", "single": first, "pair": first + second,
                    "special_tokens": {bos: {"id": bos, "ids": [arch.config["bos_token_id"]], "tokens": [bos]}}}
        post = {"type": "Sequence", "processors": [post, template]}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            for i, t in special.items()
        ],
        "normalizer": {"type": "NFC"} if arch.vocab == "qwen2" else None,
        "pre_tokenizer": split, "post_processor": post, "decoder": byte_level(True, True),
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            # By this the converter knows Llama 3 from the older ones.
            "ignore_merges": arch.vocab == "llama-bpe",
            "vocab": {t: i for i, t in enumerate(vocab["tokens"][:vocab["normal"]])},
            "merges": [m.split(" ") for m in vocab["merges"]],
        },
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos,
                "clean_up_tokenization_spaces": False, "model_max_length": 1024}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def convert(arch, args, folder, out):
    """Converts the checkpoint and returns how its tokenizer got into the file."""
    converter = str(args.llama / "convert_hf_to_gguf.py")
    tail = [str(folder), "--outfile", str(out), "--outtype", "f16"]
    out.unlink(missing_ok=True)
    say("   converting")
    log = command([sys.executable, converter, *tail], check=False)
    (args.work / f"{arch.name}-convert.log").write_text(log.text, encoding="utf-8")
    if log.code == 0 and out.exists():
        return "recognised by the converter"
    say("   the converter refused; its last lines:\n" + log.tail(40))
    say("   converting with the vocabulary of llama.cpp instead")
    vocab = str(args.llama / f"models/ggml-vocab-{arch.vocab}.gguf")
    out.unlink(missing_ok=True)
    log2 = command([sys.executable, "-c", CONVERT_WITH_VOCAB, converter, vocab, arch.vocab, *tail])
    (args.work / f"{arch.name}-convert-with-vocab.log").write_text(log2.text, encoding="utf-8")
    return "bypassed: " + (log.tail(1) or f"exit code {log.code}")


def transformers_logits(arch, folder, weights, ids, positions, dtype, device):
    """Returns the logits from the last prompt token on, and what is known of the rotation."""
    import torch
    from transformers import AutoModelForCausalLM

    say(f"   transformers, {dtype} on {device}")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").to(device).eval()
    for name, p in model.named_parameters():
        if name not in weights or not torch.equal(p.detach().cpu().float(), weights[name].float()):
            raise ValueError(f"{name} was not read back as it was written")
    rope = check_rope(arch, model)
    row = torch.tensor([ids], device=device)
    with torch.inference_mode():
        # With the mask given, positions are not taken for the borders of several texts.
        out = model(input_ids=row, attention_mask=torch.ones_like(row), position_ids=positions.to(device)[None], use_cache=False)
    return out.logits[0, PREFILL - 1:].float().cpu().numpy(), rope


def check_rope(arch, model):
    """Refuses a model that rotates other dimensions, or by another theta, than was asked for."""
    if arch.rotary is None:
        return "none"
    import torch

    dim, theta = arch.rotary
    want = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    found = [b for name, b in model.named_buffers() if name.endswith("rotary_emb.inv_freq")]
    for b in found:
        if b.numel() != want.numel() or not torch.allclose(b.double().cpu(), want, rtol=1e-4):
            raise ValueError(f"transformers rotates {2 * b.numel()} dimensions with frequencies {b.tolist()[:3]}..., want {dim} and theta {theta:g}")
    return f"{dim} dimensions, theta {theta:g}" if found else "not checked: no such buffer in the model"


def our_logits(args, gguf_file, ids, device, flash):
    import numpy as np

    out = args.work / "logits.f32"
    done = command([
        str(args.bench), "logits", "--model", str(gguf_file), "--tokens", ",".join(map(str, ids)),
        "--prefill", str(PREFILL), "--device", device, "--flash-attn", flash, "--out", str(out)])
    about = json.loads(done.stdout.strip().splitlines()[-1])
    return np.fromfile(out, dtype="<f4").reshape(about["positions"], about["vocab"])


def relative_error(a, b):
    """Returns max|a-b| / max|b| of each position."""
    import numpy as np

    return np.abs(a - b).max(axis=1) / np.abs(b).max(axis=1)


def compare(a, b):
    """Returns figures for logits a against the reference b. NaN passes nothing."""
    import numpy as np

    rel = relative_error(a, b)
    error = np.abs(a - b).max(axis=1)
    best = np.partition(b, -2, axis=1)[:, -2:]
    margin = best[:, 1] - best[:, 0]
    same = a.argmax(axis=1) == b.argmax(axis=1)
    above = margin > error
    return {
        "rel_max": rel.max().item(), "rel_mean": rel.mean().item(), "abs_max": error.max().item(),
        "logit_max": np.abs(b).max().item(), "positions": len(rel), "same_argmax": int(same.sum()),
        "above_margin": int(above.sum()), "disagree_above_margin": int((above & ~same).sum()),
        "widest_margin_of_a_disagreement": margin[~same].max().item() if (~same).any() else None,
        "pass": bool(rel.max() < TOLERANCE and not (above & ~same).any()),
    }


def passed(a):
    return bool("error" not in a and a["runs"] and all(r.get("pass") for r in a["runs"])
                and all(v > TOLERANCE for v in a["mistakes"].values()))


def markdown(report):
    v = report["versions"]
    lines = [
        "# Logits against transformers", "",
        f"Tiny random checkpoints, weights of fp16 values; reference: transformers {v['transformers']} in fp32 (torch {v['torch']}). "
        f"{PREFILL} tokens in the prompt and {FORCED} forced ones, {FORCED + 1} positions compared. "
        f"Relative error of a position: max|a-b| / max|b|; tolerance {TOLERANCE:g}.", "",
        "| model | computed by | max rel. error | mean | max abs. error | max logit | same argmax | margin wider than error | of these differ | verdict |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]

    def line(arch, who, r, verdict):
        if "rel_max" not in r:
            return f"| {arch} | {who} | | | | | | | | {verdict} |"
        return (f"| {arch} | {who} | {r['rel_max']:.2e} | {r['rel_mean']:.2e} | {r['abs_max']:.2e} | {r['logit_max']:.2f} "
                f"| {r['same_argmax']}/{r['positions']} | {r['above_margin']} | {r['disagree_above_margin']} | {verdict} |")

    for a in report["archs"]:
        for r in a["runs"]:
            lines.append(line(a["arch"], f"phasebench, {r['device']}, flash attention {r['flash_attn']}", r,
                              "pass" if r.get("pass") else "FAIL: " + r.get("error", "over the tolerance")))
        if "transformers_fp16" in a:
            lines.append(line(a["arch"], "transformers, fp16 on the GPU", a["transformers_fp16"], "for comparison"))
        if "error" in a:
            lines.append(line(a["arch"], "", {}, "FAIL: " + a["error"]))
    lines += ["", "What a mistake would look like (max rel. error, must exceed the tolerance), and how the checkpoint was made:", "",
              "| model | next position | positions counted by two | rotation | tokenizer | all |", "|---|---:|---:|---|---|---|"]
    for a in report["archs"]:
        m = [f"{v:.2f}" for v in a.get("mistakes", {}).values()] or ["", ""]
        lines.append(f"| {a['arch']} | {m[0]} | {m[1]} | {a.get('rope', '')} | {a.get('tokenizer', '')} | {'PASS' if passed(a) else 'FAIL'} |")
    lines += ["", "Versions: " + ", ".join(f"{k} {x}" for k, x in v.items()) + "."]
    return "\n".join(lines) + "\n"


@dataclass
class Done:
    code: int
    stdout: str
    text: str  # stdout and stderr

    def tail(self, n):
        return "\n".join([s for s in self.text.splitlines() if s.strip()][-n:])


def command(argv, check=True):
    """Runs argv to its end. With check, a failure is an error with the last lines."""
    r = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    done = Done(r.returncode, r.stdout, r.stdout + r.stderr)
    if check and done.code != 0:
        shown = " ".join(a if len(a) < 200 else a[:40] + "..." for a in argv)
        raise RuntimeError(f"exit code {done.code} of {shown}\n{done.tail(40)}")
    return done


def failure(e):
    """Prints the traceback and returns one line for the report."""
    traceback.print_exc()
    sys.stderr.flush()
    last = [s for s in str(e).splitlines() if s.strip()][-1:]
    return f"{type(e).__name__}: {' '.join(last)}".replace("|", "/")


def versions():
    found = {"python": platform.python_version()}
    for name in "torch", "transformers", "tokenizers", "safetensors", "sentencepiece", "numpy":
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    try:
        import torch

        found["gpu"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    except Exception as e:
        found["gpu"] = failure(e)
    return found


START = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - START:6.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
