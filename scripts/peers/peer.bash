# Part of the scripts that compare ./bench with another program of the engine.
# They source it and call `prepare NAME PROGRAM` after reading their flags into
# root, gpu, threads, out and peer, with say, die and misuse defined.

# The models of the study, as ./bench synth knows them.
# shellcheck disable=SC2034 # for those that source this
study=gpt2,llama-3.2-1b,qwen2.5-1.5b,phi-2,llama-3.2-3b

# count FLAG VALUE LEAST
count() { [[ $2 =~ ^[1-9][0-9]*$ && $2 -ge $3 ]] || misuse "$1 needs a number of at least $3, not $2"; }

# prepare NAME PROGRAM: completes those, builds PROGRAM into peer unless one was
# named, and sets device, layers, bench, go, and answer and errors, two files.
# Without PROGRAM, ./bench is compared with itself.
prepare() {
    local make=cpu
    device=cpu layers=0
    if [ "$gpu" = 1 ]; then device=cuda layers=99 make=cuda; fi
    bench=$root/bench
    [ -x "$bench" ] || die "./bench is not built: run make $make"
    go=$root/toolchain/go/bin/go # in an offline bundle, and where the system's is too old
    [ -x "$go" ] || go=go
    [ -n "$threads" ] || threads=$(lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l)
    out=${out:-$root/results/$1-$(date +%Y%m%d-%H%M%S).csv}
    if [ $# -gt 1 ]; then
        [ -n "$peer" ] || build_peer "$2"
        [ -x "$peer" ] || die "$peer is not a program"
    fi
    answer=$(mktemp) errors=$(mktemp)
    trap 'rm -f "$answer" "$errors"' EXIT
}

# pick_model: sets model to a synthetic gpt2 unless it is a file already.
pick_model() {
    [ -n "$model" ] || model=$(synthetic gpt2)
    [ -f "$model" ] || die "no model file $model: scripts/fetch-models.sh gets real ones, ./bench synth makes stand-ins"
}

# synthetic NAME: prints the stand-in of a published model, made at first use.
synthetic() {
    local file=$root/models/synthetic/$1-seed42-f16.gguf
    if [ ! -f "$file" ]; then
        mkdir -p "$root/models/synthetic"
        "$bench" synth "$1" -o "$file" >&2 || die "no model $1"
    fi
    echo "$file"
}

# model_file NAME: sets file to a model in the folder dir or, without one, to its stand-in.
model_file() {
    if [ -n "$dir" ]; then file=$dir/$1-f16.gguf; else file=$(synthetic "$1"); fi
    [ -f "$file" ] || die "no model file $file: scripts/fetch-models.sh gets it"
}

# array KEY: the numbers in the array KEY of the JSON in $answer, one a line.
array() { tr -d ' \n\t' <"$answer" | grep -o "\"$1\":\[[^]]*\]" | sed 's/.*\[//; s/\]//' | tr ',' '\n'; }

# summary FORMAT: prints what the pairs in $out come to, as text or markdown.
summary() {
    say "raw times: $out"
    if ! command -v "$go" >/dev/null; then
        say "no Go here to sum them up; where there is: go run ./scripts/pairs -format $1 <$out"
        return
    fi
    (cd "$root" && "$go" run ./scripts/pairs -format "$1") <"$out"
}

# On the CPU a build of its own, with every instruction this host has, so that
# ours has something to live up to, and with the repairs that CMakeLists.txt makes
# on x86: without them it computes F16 in less precision than ours, or crashes. On
# the GPU the same libraries as ours: what is compared is the way they are called,
# and CUDA takes minutes to build.
build_peer() {
    local dir source log=$root/build/$1.log flags
    if [ "$gpu" = 1 ]; then
        dir=$root/build/cmake peer=$root/build/lib/$1 source=$root flags=(-DPHASEBENCH_PEERS=ON)
    else
        dir=$root/build/llama-bench peer=$dir/bin/$1 source=$root/third_party/llama.cpp
        flags=(
            -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON
            -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
            -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
            -DLLAMA_OPENSSL=OFF
        )
        if gcc -mno-avx512fp16 -E -x c /dev/null >/dev/null 2>&1; then
            flags+=(-DCMAKE_C_FLAGS=-mno-avx512fp16 "-DCMAKE_CXX_FLAGS=-mno-avx512fp16 -include $root/llama/shim/amx.h")
        fi
    fi
    "$root/scripts/fetch-llama.sh"
    say "building $1 in $dir"
    mkdir -p "$dir"
    { cmake -S "$source" -B "$dir" "${flags[@]}" &&
        cmake --build "$dir" --target "$1" -j "$(nproc)"; } >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; die "$1 does not build; the whole log is $log"; }
}
