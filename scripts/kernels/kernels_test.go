package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trace writes repetitions of a prefill and two steps, each after a pause: the
// prefill is a matrix product of 300 us, after 100 us another thing for 100 us
// that an attention of 40 us runs beside, and the choice; a step is a product of
// 50 us and, after 10 us, the choice in two kernels of 5 us.
func trace(t *testing.T, name string, before, repetitions int) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("start_ns,end_ns,stream,graph,kernel\n")
	now := 1000
	kernel := func(wait, us int, name string) {
		now += wait * 1000
		fmt.Fprintf(&out, "%d,%d,7,0,%s\n", now, now+us*1000, name)
		now += us * 1000
	}
	prefill := func() {
		kernel(1000, 300, "_Z7mul_matILi256,ELi1EEvPf") // names may hold commas
		kernel(100, 100, "rms_norm")
		fmt.Fprintf(&out, "%d,%d,8,0,flash_attn_ext\n", now-50_000, now-10_000)
		kernel(0, 5, "argmax_f32")
	}
	for range before {
		kernel(0, 1, "Argmax")
	}
	for range repetitions {
		prefill() // only to wake the device
		if strings.Contains(name, "transformers") {
			kernel(500, 5, "vectorized_elementwise_kernel<FillFunctor>")
		}
		prefill()
		for range 2 {
			kernel(20, 50, "nvjet_hsh_64x8")
			kernel(10, 5, "triton_red_fused_argmax_1")
			kernel(0, 5, "triton_red_fused_argmax_2")
		}
	}
	out.WriteString("12345,678") // cut off
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	ours, theirs := trace(t, "gpt2.graphs.csv", 0, 4), trace(t, "qwen2.5-1.5b.transformers.csv", 1, 3)
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-gen", "2", "-top", "1", ours, theirs}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, want := range []string{
		"| gpt2 | graphs | prefill | 4 | 0.405 | 0.100 | 0.300 | 0.040 | 0.105 |\n",
		"| gpt2 | graphs | decode step | 3 | 0.060 | 0.030 | 0.050 | 0.000 | 0.010 |\n",
		"| qwen2.5-1.5b | transformers | prefill | 4 | 0.405 | 0.100 | 0.300 | 0.040 | 0.105 |\n",
		"| qwen2.5-1.5b | transformers | decode step | 3 | 0.060 | 0.030 | 0.050 | 0.000 | 0.010 |\n",
		"\ngpt2 graphs prefill:\n    0.300 ms in   1.0  matrix     _Z7mul_matILi256,ELi1EEvPf\n",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not in:\n%s", want, stdout.String())
		}
	}
}

func TestClassOf(t *testing.T) {
	for name, want := range map[string]class{
		"_Z18flash_attn_ext_f16ILi64E":                                 attention,
		"cudnn_generated_fort_native_sdpa_sm90_flash_fprop":            attention,
		"_Z13mul_mat_vec_fI6__halfS0_Li1E":                             matrix,
		"nvjet_sm90_hsh_64x8_64x16_4x1_v_bz_splitK_TNT":                matrix,
		"triton_tem_fused_mm_3":                                        matrix,
		"triton_poi_fused__scaled_dot_product_cudnn_attention_bmm_cos": other,
		"triton_red_fused__unsafe_view_argmax_slice_11":                other,
		"_Z12rms_norm_f32ILi1024E":                                     other,
	} {
		if got := classOf(name); got != want {
			t.Errorf("%s: class %s, want %s", name, classNames[got], classNames[want])
		}
	}
}

func TestRunRefuses(t *testing.T) {
	short := trace(t, "gpt2.graphs.csv", 0, 2)
	shifted := trace(t, "gpt2.graphs.csv", 3, 5)
	bad := filepath.Join(t.TempDir(), "bad.graphs.csv")
	if err := os.WriteFile(bad, []byte("start_ns,end_ns,stream,graph,kernel\nnow,1,2,0,k\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "usage"},
		{[]string{"-gen", "0", short}, "usage"},
		{[]string{"-gen", "2", short}, "gpt2.graphs.csv: 8 tokens are no 3 repetitions of two prefills and 2 steps"},
		{[]string{"-gen", "2", shifted}, "gpt2.graphs.csv: where a prefill should be"},
		{[]string{bad}, "bad.graphs.csv:2: no kernel"},
		{[]string{"missing.csv"}, "no such file"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(c.args, &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: exit code %d, want 2 and %q in:\n%s", c.args, code, c.want, stderr.String())
		}
	}
}
