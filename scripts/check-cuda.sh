#!/usr/bin/env bash
# Prints the path of nvcc, or says what a CUDA build still needs.
set -euo pipefail

case ${1-} in
    -h | --help)
        echo "usage: scripts/check-cuda.sh"
        echo "Prints the path of a usable CUDA compiler, or says what is missing and exits 1."
        exit 0
        ;;
    '') ;;
    *) echo "usage: scripts/check-cuda.sh" >&2; exit 2 ;;
esac

old=''
for nvcc in "${CUDACXX-}" "$(command -v nvcc || true)" "${CUDA_HOME-/usr/local/cuda}/bin/nvcc" /usr/local/cuda/bin/nvcc; do
    if [ -n "$nvcc" ] && said=$("$nvcc" --version 2>/dev/null); then
        if [[ ! $said =~ release\ ([0-9]+) ]] || ((BASH_REMATCH[1] >= 12)); then
            echo "$nvcc"
            exit 0
        fi
        old+=" $nvcc is of CUDA ${BASH_REMATCH[1]}, which is too old."
    fi
done
cat >&2 <<TEXT
make cuda: no usable CUDA compiler found (nvcc).$old
  looked in: \$CUDACXX, PATH, \$CUDA_HOME/bin, /usr/local/cuda/bin
  needed:    the NVIDIA CUDA toolkit 12 or newer, matching the driver
             (Ubuntu: nvidia-cuda-toolkit, or NVIDIA's own cuda-toolkit package)
  then:      make cuda, or CUDACXX=/path/to/nvcc make cuda
  without a GPU: make cpu
TEXT
exit 1
