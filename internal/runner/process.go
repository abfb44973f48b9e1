package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/phasebench/phasebench/internal/wire"
	"golang.org/x/sys/unix"
)

// Processes starts this program again as a worker.
type Processes struct {
	Args []string  // its arguments, e.g. "worker"
	Log  io.Writer // takes what workers print; nil for nowhere

	// Grace is how long a worker may take to exit after it was asked to,
	// before it is killed; 5 s when 0.
	Grace time.Duration
}

// Launch starts a worker. It does not wait for it to be ready.
//
// The worker is in a process group of its own, so that Ctrl-C in the terminal
// reaches the parent only, which lets the row at hand finish. It never outlives
// the parent: the kernel kills it when the parent dies, however that happens.
func (l *Processes) Launch(spec LaunchSpec) (Worker, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	p := &process{
		conn:   ours,
		client: wire.NewClient(ours),
		done:   make(chan struct{}),
		grace:  l.Grace,
	}
	if p.grace == 0 {
		p.grace = 5 * time.Second
	}
	out := io.Writer(&p.stderr)
	if l.Log != nil {
		fmt.Fprintf(l.Log, "--- %s %s\n", time.Now().UTC().Format(time.RFC3339), spec.Label)
		out = tee{&p.stderr, l.Log}
	}
	p.cmd = &exec.Cmd{
		// Not os.Executable, which may name a newer program after a rebuild.
		Path:       "/proc/self/exe",
		Args:       append([]string{os.Args[0]}, l.Args...),
		Env:        workerEnv(spec.Env),
		Stdout:     out, // nothing belongs there, so nothing printed there is lost
		Stderr:     out,
		ExtraFiles: []*os.File{theirs}, // file descriptor 3
		WaitDelay:  time.Second,        // a process that inherited stderr does not hold up Wait
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:   true,
			Pdeathsig: syscall.SIGKILL,
		},
	}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that forked ends, so that
		// thread is kept for as long as the worker lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait() // how it ended is in ProcessState
			close(p.done)
		}
	}()
	err = <-started
	theirs.Close()
	if err != nil {
		ours.Close()
		return nil, err
	}
	return p, nil
}

func socketpair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	// Non-blocking lets Close end a Read that waits.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "parent"), nil
}

// process is a worker that Processes started.
type process struct {
	cmd    *exec.Cmd
	conn   *os.File
	client *wire.Client
	stderr tail
	grace  time.Duration
	done   chan struct{} // closed when the process has ended
}

func (p *process) PID() int { return p.cmd.Process.Pid }

func (p *process) Call(ctx context.Context, q wire.Request) (wire.Reply, error) {
	var reply wire.Reply
	answered := make(chan error, 1)
	go func() {
		r, err := p.client.Call(q)
		reply = r
		answered <- err
	}()
	select {
	case err := <-answered:
		if err == nil {
			return reply, nil
		}
		for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, unix.EPIPE, unix.ECONNRESET} {
			if errors.Is(err, gone) {
				err = nil
			}
		}
		return wire.Reply{}, p.end(err)
	case <-ctx.Done():
		return wire.Reply{}, p.end(context.Cause(ctx))
	}
}

func (p *process) Close() error {
	p.conn.Close()
	if d := p.end(nil); d.Signal != "" || d.ExitCode != 0 {
		return d
	}
	return nil
}

// end waits until the process has ended, and sees to it that it does. One that
// has nothing left to answer (cause is nil) or that may hang (a timeout) gets
// time to leave; else there is nothing to wait for.
func (p *process) end(cause error) *Death {
	patience := p.grace
	var late timeoutError
	switch {
	case errors.As(cause, &late):
		p.cmd.Process.Signal(syscall.SIGTERM)
	case cause != nil:
		patience = 0
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		if cause == nil {
			cause = fmt.Errorf("still there %v after its socket was closed", p.grace)
		}
		p.cmd.Process.Kill()
		<-p.done
	}
	d := &Death{StderrTail: p.stderr.Lines(), Cause: cause, ExitCode: p.cmd.ProcessState.ExitCode()}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		d.Signal = unix.SignalName(ws.Signal())
	}
	word, signal := p.stderr.LastWord()
	d.LastWord, d.Signal = word, cmp.Or(d.Signal, signal)
	return d
}

// tee writes to both and fails with neither: a full disk under the log must not
// stop the worker.
type tee struct{ tail, log io.Writer }

func (t tee) Write(p []byte) (int, error) {
	t.tail.Write(p)
	t.log.Write(p)
	return len(p), nil
}
