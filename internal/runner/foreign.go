package runner

import (
	"context"
	"strings"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
)

// foreignPoll is the time between two looks at who else uses the GPU.
const foreignPoll = 2 * time.Second

// ForeignError says that other processes compute on the GPU of a matrix that
// does not allow it.
type ForeignError struct{ Processes []string }

func (e *ForeignError) Error() string {
	return computes(e.Processes) + ", and the matrix says energy.foreign: fail; end what should not be there"
}

func computes(processes []string) string {
	return record.ForeignWarning + ": " + strings.Join(processes, ", ")
}

// gate does what a matrix says about other processes on the GPU.
type gate struct {
	policy    matrix.Foreign
	telemetry Telemetry // nil if nobody knows
	stop      <-chan struct{}
	progress  Progress
	told      bool
}

func newGate(plan *matrix.Plan, t Telemetry, stop <-chan struct{}, p Progress) *gate {
	return &gate{policy: plan.Spec.Energy.Foreign, telemetry: t, stop: stop, progress: p}
}

// pass returns the processes that measurements on the GPU have beside them, if
// they may begin: with ForeignWait it waits until there are none, or returns
// errStopped. It must be called while no worker is there.
func (g *gate) pass(ctx context.Context) (beside []string, err error) {
	if g.telemetry == nil {
		return nil, nil
	}
	for waited := false; ; waited = true {
		beside = g.telemetry.Foreign(0)
		switch {
		case len(beside) == 0:
			if waited {
				g.progress.Note("the GPU is free: going on")
			}
			return nil, nil
		case g.policy == matrix.ForeignFail:
			return nil, &ForeignError{beside}
		case g.policy != matrix.ForeignWait:
			if !g.told {
				g.told = true
				g.progress.Note(computes(beside) + "; what is measured beside it says so. To avoid that set energy.foreign to wait or fail in the matrix")
			}
			return beside, nil
		}
		if !waited {
			g.progress.Note(computes(beside) + "; waiting until it is gone")
		}
		select {
		case <-time.After(foreignPoll):
		case <-g.stop:
			return nil, errStopped
		case <-ctx.Done():
			return nil, errStopped
		}
	}
}
