#!/usr/bin/env python3
"""Check measured power against the GPU's energy counter, read by another program.

usage: scripts/check-energy.py record FILE.csv       reads the counter every 50 ms until interrupted
       scripts/check-energy.py compare FILE.csv DIR  compares the run in DIR with those readings

Start `record`, then a run with long energy windows (energy: {window_s: 10} in
the matrix), then stop it. `compare` takes, for each window of the run, the first
and the last step of the counter inside it from the readings, and compares the
mean power between them with integral_w and counter_w of energy_windows.jsonl.
The clock is CLOCK_MONOTONIC on both sides. Needs Python 3 and the driver's NVML,
nothing else. Exit code 0: all windows within 2 %, 1: some are not, 2: usage.
"""

import csv
import ctypes
import json
import signal
import sys
import time
from pathlib import Path

TOLERANCE = 0.02


def main():
    match sys.argv[1:]:
        case ["-h" | "--help"]:
            print(__doc__)
            return 0
        case ["record", out]:
            return record(Path(out))
        case ["compare", readings, run]:
            return compare(Path(readings), Path(run))
    print(__doc__, file=sys.stderr)
    return 2


def record(out):
    nvml = ctypes.CDLL("libnvidia-ml.so.1")

    def call(name, *args):
        if code := getattr(nvml, name)(*args):
            raise OSError(f"{name}: NVML error {code}")

    call("nvmlInit_v2")
    device, mj = ctypes.c_void_p(), ctypes.c_ulonglong()
    call("nvmlDeviceGetHandleByIndex_v2", 0, ctypes.byref(device))
    stopped = []
    for s in signal.SIGINT, signal.SIGTERM:
        signal.signal(s, lambda *_: stopped.append(True))
    with out.open("w", encoding="utf-8", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["t_ns", "energy_mj"])
        while not stopped:
            call("nvmlDeviceGetTotalEnergyConsumption", device, ctypes.byref(mj))
            rows.writerow([time.clock_gettime_ns(time.CLOCK_MONOTONIC), mj.value])
            time.sleep(0.05)
    return 0


def compare(readings, run):
    with readings.open(encoding="utf-8", newline="") as f:
        counter = [(int(r["t_ns"]), int(r["energy_mj"])) for r in csv.DictReader(f)]
    # A step is seen at the first reading of a new value; it happened between
    # that and the reading before.
    steps = [((a[0] + b[0]) / 2, b[1]) for a, b in zip(counter, counter[1:]) if b[1] != a[1]]
    worst, windows = 0.0, 0
    print("window_s,other_w,integral_w,integral_over_other,counter_w,counter_over_other,what")
    for line in (run / "energy_windows.jsonl").read_text(encoding="utf-8").splitlines():
        w = json.loads(line)
        inside = [s for s in steps if w["open_ns"] <= s[0] <= w["end_ns"]]
        if len(inside) < 2 or "integral_w" not in w:
            continue
        (t0, e0), (t1, e1) = inside[0], inside[-1]
        other = (e1 - e0) / 1e3 / ((t1 - t0) / 1e9)
        ratios = [w[k] / other if k in w else None for k in ("integral_w", "counter_w")]
        windows += 1
        worst = max(worst, abs(ratios[0] - 1))
        cells = [f"{(w['end_ns'] - w['open_ns']) / 1e9:.2f}", f"{other:.2f}", f"{w['integral_w']:.2f}", f"{ratios[0]:.4f}"]
        cells += [f"{w['counter_w']:.2f}", f"{ratios[1]:.4f}"] if ratios[1] else ["", ""]
        print(",".join(cells + [f"{w['model']} {w['backend']} {w['phase']} {w['window']}"]))
    if not windows:
        print(f"no window of {run} lies within the readings", file=sys.stderr)
        return 1
    print(f"worst difference of an integral: {100 * worst:.2f} % in {windows} windows", file=sys.stderr)
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
