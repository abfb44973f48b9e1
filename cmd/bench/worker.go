package main

import (
	"context"
	"os"

	"github.com/phasebench/phasebench/internal/measure"
)

// workerCommand is what the parent starts; it talks over file descriptor 3.
func workerCommand(_ context.Context, args []string, _ stdio) error {
	conn := os.NewFile(3, "parent")
	if _, err := conn.Stat(); err != nil || len(args) > 0 {
		return usagef("this command is started by bench itself, with a socket to talk over")
	}
	defer conn.Close()
	return measure.Serve(conn)
}
