package prompt

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// words is a tokenizer with one token a word, after a begin-of-sequence 1. The
// ids are the words' lengths.
func words(s string) ([]int32, error) {
	out := []int32{1}
	for _, w := range strings.Fields(s) {
		out = append(out, int32(len(w)))
	}
	return out, nil
}

func TestCorpus(t *testing.T) {
	if len(passages) < 6 {
		t.Errorf("%d passages, want at least 6", len(passages))
	}
	for _, p := range passages {
		if !utf8.ValidString(p) || strings.ContainsAny(p, "\r\t\ufffd") {
			t.Errorf("%.40q holds bytes that are not plain text", p)
		}
		// Long enough that a short prompt is one coherent text.
		if n := len(strings.Fields(p)); n < 300 {
			t.Errorf("%.40q has %d words, want at least 300", p, n)
		}
	}
	// English has more tokens than words, so this is enough for 2,048.
	if n := len(strings.Fields(Text(0))); n < 3000 {
		t.Errorf("%d words in all, want at least 3000", n)
	}
}

func TestText(t *testing.T) {
	// Published records name the prompt only by its seed and hash: neither the
	// corpus nor the order may change unnoticed.
	check := func(seed int64, want string) {
		t.Helper()
		var ids []int32
		for _, b := range []byte(Text(seed)) {
			ids = append(ids, int32(b))
		}
		if got := Hash(ids); got != want {
			t.Errorf("Text(%d) has hash %s, want %s", seed, got, want)
		}
	}
	check(0, "a9d0db6ef59d0322")
	check(42, "901f221b9222174c")
	check(-1, "fe327ee2ce93cddc")

	firsts := map[string]bool{}
	for seed := range int64(50) {
		got := Text(seed)
		for _, p := range passages {
			if strings.Count(got, p) != 1 {
				t.Fatalf("seed %d: passage %.30q is there %d times", seed, p, strings.Count(got, p))
			}
		}
		first, _, _ := strings.Cut(got, "\n")
		firsts[first] = true
	}
	if len(firsts) != len(passages) {
		t.Errorf("50 seeds begin with %d of %d passages", len(firsts), len(passages))
	}
}

// The prompts of a batch are the text from another word on each, the first as it
// is, so that no two begin alike.
func TestSequence(t *testing.T) {
	const n = 64
	text := strings.Fields(Text(42))
	spell := map[int32]string{}
	ids := map[string]int32{}
	tokenize := func(s string) ([]int32, error) {
		var out []int32
		for _, w := range strings.Fields(s) {
			if _, ok := ids[w]; !ok {
				id := int32(len(ids))
				ids[w], spell[id] = id, w
			}
			out = append(out, ids[w])
		}
		return out, nil
	}
	seen := map[string]int{}
	for sequence := range MaxSequences {
		got, err := Sequence(tokenize, 42, sequence, n)
		if err != nil || len(got) != n {
			t.Fatalf("sequence %d: %d tokens, error %v", sequence, len(got), err)
		}
		if other, ok := seen[Hash(got)]; ok {
			t.Errorf("sequences %d and %d have the same prompt", other, sequence)
		}
		seen[Hash(got)] = sequence
		at := sequence * len(text) / MaxSequences
		for i, id := range got[:min(n, len(text)-at)] {
			if spell[id] != text[at+i] {
				t.Fatalf("sequence %d: word %d is %q, want %q", sequence, i, spell[id], text[at+i])
			}
		}
	}
	first, err := Sequence(tokenize, 42, 0, n)
	if err != nil {
		t.Fatal(err)
	}
	if alone, err := Tokens(tokenize, 42, n); err != nil || !slices.Equal(first, alone) {
		t.Errorf("sequence 0 is not the prompt of one: %v", err)
	}
	long, err := Sequence(tokenize, 42, MaxSequences-1, 20_000)
	if err != nil || len(long) != 20_000 {
		t.Errorf("a long prompt from near the end of the text has %d tokens, error %v", len(long), err)
	}
	for _, sequence := range []int{-1, MaxSequences} {
		if _, err := Sequence(tokenize, 42, sequence, n); err == nil {
			t.Errorf("sequence %d was made", sequence)
		}
	}
}

func TestTokens(t *testing.T) {
	longest, err := Tokens(words, 42, 32768)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 64, 1024, 2048, 4000, 32768} {
		got, err := Tokens(words, 42, n)
		if err != nil || len(got) != n {
			t.Fatalf("n = %d: %d tokens, error %v", n, len(got), err)
		}
		if !slices.Equal(got, longest[:n]) {
			t.Errorf("n = %d: not the beginning of the longer prompt", n)
		}
	}
	if slices.Contains(longest[1:], 0) || longest[0] != 1 {
		t.Error("the begin-of-sequence token is not first")
	}
	// A second round is in another order than the first.
	round := len(strings.Fields(Text(42)))
	if slices.Equal(longest[1:1+round], longest[1+round:1+2*round]) {
		t.Error("the second round repeats the first")
	}
	other, err := Tokens(words, 43, 64)
	if err != nil || slices.Equal(other, longest[:64]) {
		t.Errorf("seed 43 gives the prompt of seed 42, error %v", err)
	}
}

func TestTokensErrors(t *testing.T) {
	broken := errors.New("no vocabulary")
	check := func(tokenize func(string) ([]int32, error), n int, want string) {
		t.Helper()
		got, err := Tokens(tokenize, 42, n)
		if got != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("n = %d: %d tokens, error %v, want %s...", n, len(got), err, want)
		}
	}
	check(words, 0, "a prompt must have from 1 to 1048576 tokens, not 0")
	check(words, -5, "a prompt must have from 1 to 1048576 tokens, not -5")
	check(words, MaxTokens+1, "a prompt must have from 1 to 1048576 tokens")
	check(func(string) ([]int32, error) { return nil, broken }, 1, "tokenizing the prompt: no vocabulary")
	check(func(string) ([]int32, error) { return nil, nil }, 1, "tokenizing the prompt: the corpus of 3718 words gave only 0 tokens")
	lazy := func(s string) ([]int32, error) { return make([]int32, len(s)/100), nil }
	check(lazy, 1000, "tokenizing the prompt: the corpus of 3718 words gave only 200 tokens")
	if _, err := Tokens(func(string) ([]int32, error) { return nil, broken }, 1, 1); !errors.Is(err, broken) {
		t.Error("the tokenizer's error is not wrapped")
	}
}

// Expected values: printf '\x01\x00\x00\x00\xff\xff\xff\xff' | sha256sum.
func TestHash(t *testing.T) {
	check := func(tokens []int32, want string) {
		t.Helper()
		if got := Hash(tokens); got != want {
			t.Errorf("Hash(%v) = %s, want %s", tokens, got, want)
		}
	}
	check(nil, "e3b0c44298fc1c14")
	check([]int32{1, -1}, "b15348c8f462384c")
	check([]int32{0x04030201}, "9f64a747e1b97f13")
}

// The first outputs for state 1234567 are those of the reference C program
// (S. Vigna, splitmix64.c), as listed by Rosetta Code.
func TestSplitMix64(t *testing.T) {
	g := generator(1234567)
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		if got := g.next(); got != want {
			t.Errorf("output %d = %d, want %d", i, got, want)
		}
	}
}
