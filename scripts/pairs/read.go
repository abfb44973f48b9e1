package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A pair is one measurement of each side, taken one right after the other.
type pair struct {
	ID         int
	First      string  // the side that went first: "ours" or "peer"
	Ours, Peer float64 // tokens a second: all tokens over all time of its repetitions
}

// A metric is what was measured ("decode", "prefill") and its pairs, both in
// the order of the input.
type metric struct {
	Name  string
	Pairs []pair
}

// header is the first line of the input; a line is one repetition.
var header = []string{"pair", "metric", "side", "position", "rep", "tokens", "ms"}

// total sums the repetitions of one side.
type total struct{ tokens, ms float64 }

// read parses the raw times. An error names the line. A pair that lacks a side,
// as an interrupted run leaves it, is left out.
func read(r io.Reader) ([]metric, error) {
	type key struct {
		metric string
		pair   int
	}
	var order []key
	sides := map[key]map[string]total{}
	first := map[key]string{}

	lines := csv.NewReader(r)
	got, err := lines.Read()
	if err != nil || !slices.Equal(got, header) {
		return nil, fmt.Errorf("line 1: want the header %s, as scripts/compare-llama-bench.sh writes it", strings.Join(header, ","))
	}
	for {
		row, err := lines.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := lines.FieldPos(0)
		id, err1 := strconv.Atoi(row[0])
		tokens, err2 := strconv.ParseFloat(row[5], 64)
		ms, err3 := strconv.ParseFloat(row[6], 64)
		side := row[2]
		if err1 != nil || err2 != nil || err3 != nil || !(tokens > 0) || !(ms > 0) || (side != "ours" && side != "peer") {
			return nil, fmt.Errorf("line %d: want a pair, a side ours or peer, and tokens and ms above 0, not %s", line, strings.Join(row, ","))
		}
		k := key{row[1], id}
		if sides[k] == nil {
			order = append(order, k)
			sides[k] = map[string]total{}
			first[k] = side
		}
		sum := sides[k][side]
		sides[k][side] = total{sum.tokens + tokens, sum.ms + ms}
	}

	var metrics []metric
	for _, k := range order {
		ours, peer := sides[k]["ours"], sides[k]["peer"]
		if ours.ms == 0 || peer.ms == 0 {
			continue
		}
		i := slices.IndexFunc(metrics, func(m metric) bool { return m.Name == k.metric })
		if i < 0 {
			metrics, i = append(metrics, metric{Name: k.metric}), len(metrics)
		}
		metrics[i].Pairs = append(metrics[i].Pairs, pair{k.pair, first[k], 1000 * ours.tokens / ours.ms, 1000 * peer.tokens / peer.ms})
	}
	if len(metrics) == 0 {
		return nil, fmt.Errorf("no pair has both sides")
	}
	return metrics, nil
}
