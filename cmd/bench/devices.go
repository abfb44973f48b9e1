package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/runner"
)

func devicesCommand(ctx context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("devices", pflag.ContinueOnError)
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, "devices [--json]", args, io.out); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("unexpected argument %q", fs.Arg(0))
	}
	host, err := runner.Survey(ctx, &runner.Processes{Args: []string{"worker"}})
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(io.out).Encode(host.Devices)
	}
	fmt.Fprintf(io.out, "engine %s; %s\n", host.Devices.Version, host.Devices.Features)
	for _, d := range host.Devices.Devices {
		fmt.Fprintf(io.out, "%-8s %-5s %-5s %s, %.1f of %.1f GB free\n", d.Name, d.Kind, d.Backend, d.Description, float64(d.FreeBytes)/1e9, float64(d.TotalBytes)/1e9)
	}
	return nil
}
