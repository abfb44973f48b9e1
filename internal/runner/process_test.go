package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// The test binary plays the worker when its first argument says so, and the
// parent that gets killed when the environment does.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "worker":
		os.Exit(playWorker(os.Args[2:]))
	case os.Getenv("RUNNER_PARENT") != "":
		playParent()
	}
	os.Exit(m.Run())
}

// playWorker answers rows like a real worker until the row numbered in the
// second argument, when it does what the first one says. With a third
// argument it does so only if it can create that file, which is once.
func playWorker(args []string) int {
	mode, at := args[0], 0
	if len(args) > 1 {
		at, _ = strconv.Atoi(args[1])
	}
	fmt.Fprintln(os.Stderr, "worker is up")
	e := newFake()
	w := fakeWorker{e: e}
	conn := os.NewFile(3, "parent")
	err := wire.Serve(conn, func(q wire.Request) (wire.Reply, error) {
		if q.Row != nil && e.rows+1 == at {
			once := true
			if len(args) > 2 {
				_, err := os.OpenFile(args[2], os.O_CREATE|os.O_EXCL, 0o600)
				once = err == nil
			}
			if once {
				misbehave(mode, conn)
			}
		}
		if q.Devices != nil {
			return wire.Reply{Devices: &wire.DevicesReply{Features: strings.Join(os.Environ(), "\n")}}, nil
		}
		r, _ := w.Call(context.Background(), q)
		if r.Opened != nil {
			r.Opened.PID = os.Getpid()
		}
		return r, nil
	})
	if mode == "linger" {
		time.Sleep(time.Minute)
	}
	if err != nil || mode == "untidy" {
		return 7
	}
	return 0
}

func misbehave(mode string, conn *os.File) {
	switch mode {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "abort":
		for i := range 100 {
			fmt.Fprintln(os.Stderr, "line", i)
		}
		fmt.Fprint(os.Stderr, "GGML_ASSERT(x) failed")
		signal.Reset(syscall.SIGTERM)
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
		time.Sleep(time.Minute)
	case "engine aborts": // as C code does on a thread of its own
		fmt.Fprintln(os.Stderr, "GGML_ASSERT(y) failed")
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		time.Sleep(time.Minute)
	case "segfault":
		fmt.Fprintln(os.Stderr, "all is well")
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Minute)
	case "panic":
		panic("it broke")
	case "exit":
		fmt.Println("printed to stdout")
		os.Exit(3)
	case "hang":
		time.Sleep(time.Minute)
	case "hang deaf":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Minute)
	case "babble":
		fmt.Fprintln(conn, "not JSON")
	}
}

// playParent starts a worker, prints its process id and waits to be killed.
func playParent() {
	w, err := (&Processes{Args: []string{"worker", "hang", "1"}}).Launch(LaunchSpec{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(w.PID())
	w.Call(context.Background(), wire.Request{Row: &wire.Row{}})
	os.Exit(1)
}

// buffer is a log that goroutines may share.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// runProcesses runs three repetitions of one cell in real processes.
func runProcesses(t *testing.T, rowTimeout time.Duration, args ...string) ([]record.Record, Summary, string) {
	t.Helper()
	s := spec()
	s.Repetitions = 3
	log, sink := &buffer{}, &rowsOf{}
	sum, err := Run(t.Context(), planOf(t, s), Options{
		Launcher:   &Processes{Args: append([]string{"worker"}, args...), Log: log, Grace: 200 * time.Millisecond},
		Sink:       sink,
		RowTimeout: rowTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sink.rows, sum, log.String()
}

func TestProcesses(t *testing.T) {
	rows, sum, log := runProcesses(t, 0, "good")
	wantLines(t, lines(rows), "0 m cpu a f16/0: ok\n0 m cpu a f16/1: ok\n0 m cpu a f16/2: ok")
	if sum.OK != 3 || sum.Deaths != 0 {
		t.Errorf("summary %+v", sum)
	}
	if !strings.Contains(log, " inspect m on cpu\nworker is up\n") || !strings.Contains(log, " m on cpu, launch 0\nworker is up\n") {
		t.Errorf("log %q", log)
	}
}

func TestProcessDeaths(t *testing.T) {
	const retried = "0 m cpu a f16/0: ok\n0 m cpu a f16/1: error %s\n0 m cpu a f16/1: ok\n0 m cpu a f16/2: ok"
	two, three := 2, 3
	for _, tc := range []struct {
		mode    string
		timeout time.Duration
		want    record.Error // the message is a part
	}{
		{"kill", 0, record.Error{Kind: "signal", Signal: "SIGKILL", Message: "died by SIGKILL"}},
		{"abort", 0, record.Error{Kind: "signal", Signal: "SIGTERM", Message: "died by SIGTERM: GGML_ASSERT(x) failed"}},
		{"engine aborts", 0, record.Error{Kind: "signal", Signal: "SIGABRT", Message: "died by SIGABRT: GGML_ASSERT(y) failed"}},
		{"segfault", 0, record.Error{Kind: "signal", Signal: "SIGSEGV", Message: "died by SIGSEGV: SIGSEGV: segmentation violation"}},
		{"panic", 0, record.Error{Kind: "exit", ExitCode: &two, Message: "exited with code 2: panic: it broke"}},
		{"exit", 0, record.Error{Kind: "exit", ExitCode: &three, Message: "exited with code 3: printed to stdout"}},
		{"hang", 300 * tick, record.Error{Kind: "timeout", Signal: "SIGTERM", Message: "no reply within 300ms; it was ended and died by SIGTERM"}},
		{"hang deaf", 300 * tick, record.Error{Kind: "timeout", Signal: "SIGKILL", Message: "no reply within 300ms; it was ended and died by SIGKILL"}},
		{"babble", 0, record.Error{Kind: "signal", Signal: "SIGKILL", Message: "invalid character"}},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			t.Parallel()
			rows, sum, _ := runProcesses(t, tc.timeout, tc.mode, "2", filepath.Join(t.TempDir(), "once"))
			wantLines(t, lines(rows), fmt.Sprintf(retried, tc.want.Kind))
			if sum.Deaths != 1 || sum.OK != 3 || len(rows) != 4 {
				t.Fatalf("summary %+v", sum)
			}
			got := rows[1].Error
			if got.Signal != tc.want.Signal || !strings.Contains(got.Message, tc.want.Message) ||
				(got.ExitCode == nil) != (tc.want.ExitCode == nil) || got.ExitCode != nil && *got.ExitCode != *tc.want.ExitCode {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			switch tail := got.StderrTail; {
			case tc.mode == "abort":
				if len(tail) != 40 || tail[0] != "line 61" || tail[39] != "GGML_ASSERT(x) failed" {
					t.Errorf("tail of %d lines: %q", len(tail), tail)
				}
			case tail[0] != "worker is up":
				t.Errorf("tail %q", tail)
			}
		})
	}
}

func TestCloseOfUntidyWorkers(t *testing.T) {
	for mode, want := range map[string]string{
		"good":   "<nil>",
		"untidy": "exited with code 7: worker is up",
		"linger": "still there 100ms after its socket was closed; it was ended and died by SIGKILL",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w, err := (&Processes{Args: []string{"worker", mode}, Grace: 100 * tick}).Launch(LaunchSpec{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Call(t.Context(), wire.Request{Open: &wire.Open{}}); err != nil {
				t.Fatal(err)
			}
			if mode != "linger" { // a busy machine may need longer for a clean exit
				w.(*process).grace = 10 * time.Second
			}
			if err := w.Close(); fmt.Sprint(err) != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if _, err := w.Call(t.Context(), wire.Request{Devices: &wire.Devices{}}); !died(err) {
				t.Errorf("call after the end: %v", err)
			}
		})
	}
}

// A second Ctrl-C ends the worker at once, without its grace.
func TestCancelKills(t *testing.T) {
	w, err := (&Processes{Args: []string{"worker", "hang deaf", "1"}, Grace: 20 * time.Second}).Launch(LaunchSpec{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*tick, cancel)
	start := time.Now()
	_, err = w.Call(ctx, wire.Request{Row: &wire.Row{}})
	var death *Death
	if !errors.As(err, &death) || death.Signal != "SIGKILL" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if err := w.Close(); err == nil {
		t.Error("Close after death says all is well")
	}
}

// A worker's environment is what the runner lists and the backend sets.
func TestWorkerEnvironment(t *testing.T) {
	promise.Of(t, "secrets and switches in the environment", "variables of the shell, of the engine and of OpenMP are set",
		"a worker has only what the runner lists and the backend sets")
	t.Setenv("GGML_CUDA_FORCE_MMQ", "1")
	t.Setenv("OMP_NUM_THREADS", "1")
	t.Setenv("SECRET_OF_THE_SHELL", "x")
	t.Setenv("CUDA_VISIBLE_DEVICES", "0")
	t.Setenv("LANG", "C")
	reply, err := Ask(t.Context(), &Processes{Args: []string{"worker", "good"}},
		LaunchSpec{Env: map[string]string{"GGML_CUDA_GRAPH_OPT": "1", "LANG": "D"}}, wire.Request{Devices: &wire.Devices{}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(reply.Devices.Features, "\n")
	for _, want := range []string{"GGML_NO_BACKTRACE=1", "GGML_CUDA_GRAPH_OPT=1", "CUDA_VISIBLE_DEVICES=0", "LANG=D"} {
		if !slices.Contains(env, want) {
			t.Errorf("lacks %s: %q", want, env)
		}
	}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains(passed, name) && name != "GGML_NO_BACKTRACE" && name != "GGML_CUDA_GRAPH_OPT" {
			t.Errorf("has %s", kv)
		}
	}
	held := HeldBack()
	if !slices.Contains(held, "GGML_CUDA_FORCE_MMQ") || !slices.Contains(held, "OMP_NUM_THREADS") || slices.Contains(held, "SECRET_OF_THE_SHELL") {
		t.Errorf("held back: %q", held)
	}
}

func TestWorkerIsInItsOwnGroup(t *testing.T) {
	w, err := (&Processes{Args: []string{"worker", "good"}}).Launch(LaunchSpec{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if pgid, err := syscall.Getpgid(w.PID()); err != nil || pgid != w.PID() {
		t.Errorf("group %d, %v; want %d", pgid, err, w.PID())
	}
}

// A worker dies with its parent even when the parent is killed and the worker
// is too busy to see its socket close.
func TestNoOrphan(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "RUNNER_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * tick) // for the worker to be asleep in its row
	if !alive(pid) {
		t.Fatal("no worker to begin with")
	}
	parent.Process.Kill()
	parent.Wait()
	for range 100 {
		if !alive(pid) {
			return
		}
		time.Sleep(20 * tick)
	}
	t.Errorf("worker %d outlived its parent", pid)
	syscall.Kill(pid, syscall.SIGKILL)
}

// alive reports whether a process runs: a dead one that nobody has waited for
// is not alive.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

func TestTail(t *testing.T) {
	var tl tail
	for _, s := range []string{"a", "b\n", "\n  \nc\r\n", strings.Repeat("x", 10_000), "\n\xff"} {
		tl.Write([]byte(s))
	}
	want := []string{"ab", "c", strings.Repeat("x", tailWidth), "\uFFFD"}
	if got := tl.Lines(); !slices.Equal(got, want) {
		t.Errorf("got %.40q", got)
	}
}

// The traces of a crash must not push out why it happened.
func TestTailOfACrash(t *testing.T) {
	var tl tail
	trace := strings.Repeat("goroutine 1 [running]:\n", 100)
	fmt.Fprint(&tl, "before\n", "SIGSEGV: segmentation violation\n", "PC=0x1\n", trace, "SIGABRT: abort\n", "gs 0x0\n")
	got := tl.Lines()
	word, sig := tl.LastWord()
	if len(got) != 1+crashLines || got[0] != "before" || got[2] != "PC=0x1" || word != "SIGSEGV: segmentation violation" || sig != "SIGSEGV" {
		t.Errorf("%d lines %q, the last word %q of %q", len(got), got, word, sig)
	}
}

func TestSignals(t *testing.T) {
	told := make(chan os.Signal, 1)
	ctx, stop, release := Signals(t.Context(), func(s os.Signal) { told <- s })
	defer release()
	syscall.Kill(os.Getpid(), syscall.SIGINT)
	<-stop
	if s := <-told; s != syscall.SIGINT || ctx.Err() != nil {
		t.Errorf("told %v, context %v", s, ctx.Err())
	}
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	<-ctx.Done()
}
