package runner

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signals turns SIGINT, SIGTERM and SIGHUP into the two ways of ending a run:
// the first one closes stop, after told was called with it, and the second one
// cancels ctx. A SIGHUP that nohup ignores stays ignored. release gives the
// signals back to their default.
func Signals(parent context.Context, told func(os.Signal)) (ctx context.Context, stop <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(parent)
	caught := make(chan os.Signal, 2)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
	stopping := make(chan struct{})
	go func() {
		select {
		case s := <-caught:
			told(s)
			close(stopping)
		case <-ctx.Done():
			return
		}
		select {
		case <-caught:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, stopping, func() { signal.Stop(caught); cancel() }
}
