package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/doctor"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/runner"
)

const doctorUsage = `doctor [-matrix FILE] [flags]

Looks for what would spoil a run before it starts: the engine and its devices,
the GPU's state, what each source of power can do, the CPU, the clock, the disk,
memory, the cells of a matrix, and how evenly a small model runs for about five
seconds. Nothing is changed or left behind.

Each line says ok, warn or fail, what was seen, and below it what to do. The exit
code is 1 if a line says fail, and 0 with warnings only.`

// What is watched, and for how long.
const (
	powerTime = 2 * time.Second // twenty periods of a GPU's sensor
	probeTime = 5 * time.Second
)

func doctorCommand(ctx context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("doctor", pflag.ContinueOnError)
	var sel selection
	sel.flags(fs)
	out := fs.StringP("out", "o", "results", "folder that the run would write to")
	noProbe := fs.Bool("no-probe", false, "do not run the small model")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, doctorUsage+examples("doctor", "doctor -matrix configs/matrix.yaml --synthetic -o results/night"), args, io.out); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("unexpected argument %q", fs.Arg(0))
	}
	if err := sel.check(fs); err != nil {
		return err
	}
	var plan *matrix.Plan
	if slices.ContainsFunc([]string{"matrix", "models", "backends", "scenarios", "reps", "launches", "shard", "pool", "synthetic"}, fs.Changed) {
		var err error
		if plan, _, err = sel.plan(); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once

	machine := environ.Collect("/") // first, so that its load is not ours
	var lines []doctor.Line
	add := func(more []doctor.Line) {
		if ctx.Err() != nil {
			return // what was interrupted says nothing
		}
		lines = append(lines, more...)
		for _, l := range more {
			if !*asJSON {
				fmt.Fprintln(io.out, l)
			}
		}
	}
	launcher := &runner.Processes{Args: []string{"worker"}}
	host, surveyErr := runner.Survey(ctx, launcher)
	devices := host.Devices.Devices
	add(doctor.Engine("/", machine, host.Devices, surveyErr))
	if gpu := doctor.CUDA(devices); gpu != nil {
		add(doctor.GPU(nvml.New(), *gpu))
	}
	add(doctor.Power(power.Survey(devices, "/sys", powerTime)))
	add(doctor.CPU(machine, runner.HeldBack()))
	add(doctor.Clock(machine))
	add(doctor.Memory(machine, host.MemAvailableBytes))
	if plan == nil {
		add(doctor.Disk(*out, 0, 0))
	} else {
		found, err := findModels(plan, host, models.Options{Synthetic: sel.synthetic, Dir: syntheticDir})
		if err != nil {
			return err
		}
		add(doctor.Disk(*out, plan.Rows(), doctor.RunBytes(plan, found)))
		if surveyErr == nil {
			groups, err := runner.Check(ctx, plan, host, launcher)
			if err != nil {
				return err
			}
			add(doctor.Matrix(groups, found, host))
		}
	}
	if surveyErr == nil && !*noProbe {
		add(doctor.Probe(ctx, doctor.ProbeOptions{
			Launcher: launcher, Devices: devices, VocabDir: vocabDir(), For: probeTime, Machine: machine, Root: "/",
		}))
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return diagnosis(lines, *asJSON, io)
}

// diagnosis ends a visit.
func diagnosis(lines []doctor.Line, asJSON bool, io stdio) error {
	failures := doctor.Count(lines, doctor.Fail)
	if asJSON {
		if err := json.NewEncoder(io.out).Encode(lines); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(io.out, "%d ok, %d warn, %d fail\n", doctor.Count(lines, doctor.OK), doctor.Count(lines, doctor.Warn), failures)
	}
	if failures > 0 {
		return failedError{}
	}
	return nil
}
