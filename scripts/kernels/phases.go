package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A kernel is one line of a trace.
type kernel struct {
	start, end int64 // ns of the device's clock
	name       string
}

// A call is what the device ran to choose one token: all kernels up to the argmax,
// which may be several in a row. What a program runs after it, as transformers'
// copies of the step into its cache, counts with the next.
type call []kernel

// before is how many calls a system's program makes before its first repetition:
// transformers_bench.py looks once at what it will compile.
var before = map[string]int{"transformers": 1}

// woken is how many prefills come before the one that counts, in each repetition
// of ours and of transformers_bench.py: the device is awake then.
const woken = 1

// counted is how many repetitions are summed up: the last whole ones of a trace,
// the others are warm-ups.
const counted = 3

// class is what a kernel is for.
type class int

const (
	matrix class = iota
	attention
	other
	classes
)

// words of kernels' names, in lower case, by what they are for; the first class
// that has one of them counts.
var words = [classes][]string{
	attention: {"flash", "fmha", "attn", "attention", "sdpa"},
	matrix:    {"gemm", "gemv", "mul_mat", "nvjet", "cutlass", "xmma", "splitk", "cublas", "_mm_", "_mm."},
}

// fusions begin the names of kernels that torch.compile makes of what lies between
// products. The rest of such a name is what they are made of, as the rotation and
// the mask before attention; a product it makes itself is a triton_tem_.
var fusions = []string{"triton_poi_", "triton_red_", "triton_per_"}

func classOf(name string) class {
	name = strings.ToLower(name)
	if slices.ContainsFunc(fusions, func(f string) bool { return strings.HasPrefix(name, f) }) {
		return other
	}
	for _, c := range []class{attention, matrix} {
		if slices.ContainsFunc(words[c], func(w string) bool { return strings.Contains(name, w) }) {
			return c
		}
	}
	return other
}

// A phase is what one prefill or one decode step comes to: medians over the
// counted ones.
type phase struct {
	name      string
	kernels   int
	busyNs    float64 // at least one kernel runs
	waitingNs float64 // none does, from the first to the end of the last; before a decode step's first, too
	ns        [classes]float64
	calls     []call
}

// summarise reads a trace and returns its prefill and its decode step.
func summarise(path string, gen int) ([]phase, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	kernels, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	_, system := names(path)
	calls := split(kernels)
	calls = calls[min(before[system], len(calls)):]
	each := woken + 1 + gen
	whole := len(calls) / each
	if whole < counted {
		return nil, fmt.Errorf("%s: %d tokens are no %d repetitions of two prefills and %d steps: -gen must be what was traced", path, len(calls), counted, gen)
	}
	prefill, decode := phase{name: "prefill"}, phase{name: "decode step"}
	var waits []float64
	for r := whole - counted; r < whole; r++ {
		repetition := calls[r*each+woken:][:1+gen]
		if slices.ContainsFunc(repetition[1:], func(c call) bool { return same(c, repetition[0]) }) {
			return nil, fmt.Errorf("%s: where a prefill should be the kernels are those of a step: -gen must be what was traced, by the scripts of this commit", path)
		}
		prefill.calls = append(prefill.calls, emptied(repetition[0]))
		for i, step := range repetition[1:] {
			decode.calls = append(decode.calls, step)
			waits = append(waits, float64(step[0].start-end(repetition[i])))
		}
	}
	prefill.sum(make([]float64, counted))
	decode.sum(waits)
	return []phase{prefill, decode}, nil
}

// emptied returns a prefill without the emptying of transformers' cache before it,
// which its clock leaves out.
func emptied(c call) call {
	for i := len(c) - 1; i >= 0; i-- {
		if strings.Contains(c[i].name, "FillFunctor") {
			return c[i+1:]
		}
	}
	return c
}

// same says whether two calls ran the same kernels one after the other.
func same(a, b call) bool {
	return slices.EqualFunc(a, b, func(x, y kernel) bool { return x.name == y.name })
}

// read returns the kernels of a trace by their start; a last line that was cut
// off is none.
func read(r io.Reader) ([]kernel, error) {
	var kernels []kernel
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for line := 1; in.Scan(); line++ {
		if line == 1 {
			continue
		}
		part := strings.SplitN(in.Text(), ",", 5)
		if len(part) < 5 {
			break
		}
		start, err1 := strconv.ParseInt(part[0], 10, 64)
		end, err2 := strconv.ParseInt(part[1], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%d: no kernel of scripts/kernels.sh: %w", line, err)
		}
		kernels = append(kernels, kernel{start, end, part[4]})
	}
	slices.SortFunc(kernels, func(a, b kernel) int { return int(a.start - b.start) })
	return kernels, in.Err()
}

// split cuts kernels after each choice of a token; what follows the last is left out.
func split(kernels []kernel) []call {
	var calls []call
	from := 0
	for i, k := range kernels {
		last := i+1 == len(kernels)
		if isArgmax(k) && (last || !isArgmax(kernels[i+1])) {
			calls = append(calls, kernels[from:i+1])
			from = i + 1
		}
	}
	return calls
}

func isArgmax(k kernel) bool { return strings.Contains(strings.ToLower(k.name), "argmax") }

// end returns when the last kernel of a call ends.
func end(c call) int64 {
	return slices.MaxFunc(c, func(a, b kernel) int { return int(a.end - b.end) }).end
}

// sum sets the medians over the calls, each after a wait of so many ns.
func (p *phase) sum(waits []float64) {
	var busy, waiting []float64
	var ns [classes][]float64
	var counts []float64
	for i, c := range p.calls {
		var b int64
		var of [classes]float64
		until := c[0].start
		for _, k := range c {
			b += max(0, k.end-max(until, k.start))
			until = max(until, k.end)
			of[classOf(k.name)] += float64(k.end - k.start)
		}
		busy = append(busy, float64(b))
		waiting = append(waiting, float64(until-c[0].start-b)+waits[i])
		counts = append(counts, float64(len(c)))
		for class := range ns {
			ns[class] = append(ns[class], of[class])
		}
	}
	p.kernels, p.busyNs, p.waitingNs = int(median(counts)), median(busy), median(waiting)
	for class := range ns {
		p.ns[class] = median(ns[class])
	}
}

// longest lists the n kernels that take longest in a call, on average.
func (p *phase) longest(n int) string {
	type total struct {
		ns    int64
		times int
	}
	of := map[string]total{}
	for _, c := range p.calls {
		for _, k := range c {
			t := of[k.name]
			of[k.name] = total{t.ns + k.end - k.start, t.times + 1}
		}
	}
	order := make([]string, 0, len(of))
	for name := range of {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int { return int(of[b].ns - of[a].ns) })
	var out strings.Builder
	calls := float64(len(p.calls))
	for _, name := range order[:min(n, len(order))] {
		t := of[name]
		fmt.Fprintf(&out, "%9.3f ms in %5.1f  %-9s  %s\n", float64(t.ns)/1e6/calls, float64(t.times)/calls, classNames[classOf(name)], name)
	}
	return out.String()
}

var classNames = [classes]string{"matrix", "attention", "other"}
