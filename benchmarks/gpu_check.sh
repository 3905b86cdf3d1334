#!/usr/bin/env bash
# Builds the CUDA kernels on a machine with a GPU, checks them, and measures them, all within 8 minutes:
#
#   [WHEELS=folder] [COMMIT=id] benchmarks/gpu_check.sh [output folder, or $OUT]
#
# Needs the CUDA toolkit, and Python with torch, numba, pybind11, scikit-build-core, cmake, ninja and pytest. There may be
# no package index: other packages (segment-anything, faster-coco-eval) come as wheels in the folder $WHEELS. Writes
# gpu_DATE.md, with the summary and every table, and a log a step. A step that fails does not stop the later ones; the
# exit code is the number of failed steps.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-${OUT:-gpu_check}}
mkdir -p "$out"
out=$(cd "$out" && pwd)
date=$(date -u +%Y-%m-%d)
report=$out/gpu_$date.md
python=${PYTHON:-python3}
seconds_in_all=${SECONDS_IN_ALL:-470}
seed=${SEED:-$(date +%s)}
export ESAM_EXPECT_BACKENDS=native,cuda,torch ESAM_TEST_SEED=$seed PIP_DISABLE_PIP_VERSION_CHECK=1 OUT=$out
failed=0
summary=""

# step NAME LIMIT COMMAND...: runs it for at most LIMIT seconds, or what is left of all; its output is NAME.log.
step() {
  local name=$1 limit=$2 left=$((seconds_in_all - SECONDS)) start=$SECONDS code verdict
  shift 2
  ((limit > left)) && limit=$left
  if ((limit < 5)); then
    code=124
    echo "no time left" >"$out/$name.log"
  else
    timeout --kill-after=5 "$limit" "$@" >"$out/$name.log" 2>&1
    code=$?
  fi
  verdict=ok
  if ((code != 0)); then
    verdict="FAILED ($code)"
    ((code == 124)) && verdict="FAILED (time)"
    failed=$((failed + 1))
    tail -25 "$out/$name.log"
  fi
  summary+="| $name | $verdict | $((SECONDS - start)) | $(tail -1 "$out/$name.log" | tr -d '|' | cut -c1-90) |"$'\n'
  printf '%-12s %s, %s s\n' "$name" "$verdict" $((SECONDS - start))
}

if compgen -G "${WHEELS:-/nonexistent}/*.whl" >/dev/null; then
  step wheels 60 "$python" -m pip install -q --no-index --no-deps "$WHEELS"/*.whl
fi
step build 150 "$python" -m pip install -v --no-index --no-deps --no-build-isolation --force-reinstall . \
  -C cmake.define.ESAM_CUDA=ON
step found 30 "$python" -P -c '
import esam_fast
info = esam_fast.build_info()
print(info)
assert "cuda" in info["backends"], "the kernels are built or found on no device"
'
step parity 150 "$python" -P -m pytest -q --hypothesis-seed="$seed" tests/ops \
  tests/pipeline/test_stages.py tests/pipeline/test_pipeline_oracle.py --backend cuda -k "not thousands"
# torch's cache would hand out parts of one large allocation, in which nothing is out of bounds.
step memcheck 120 env PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck --error-exitcode 9 \
  "$python" -P -m pytest -q -x -p no:faulthandler tests/ops --backend cuda -m "not long"
step racecheck 120 compute-sanitizer --tool racecheck --error-exitcode 9 \
  "$python" -P -m pytest -q -x -p no:faulthandler tests/ops --backend cuda -m "not long"
step benchmark 90 "$python" benchmarks/gpu_table.py "$out/tables.md"
step decoder 60 "$python" benchmarks/bench_sam.py --device cuda
step sam 120 "$python" benchmarks/gpu_sam.py "$out/sam.md"

{
  echo "# On a GPU, $date"
  echo
  echo "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -1); $(nvcc --version | tail -1);"
  echo "commit ${COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}; seed $seed; $SECONDS s in all; made by"
  echo "\`benchmarks/gpu_check.sh\`."
  echo
  echo "| step | result | seconds | its last line |"
  echo "|---|---|---|---|"
  printf '%s\n' "$summary"
  cat "$out/tables.md" "$out/sam.md" 2>/dev/null
  printf '\nThe decoder beside the official one:\n\n```\n%s\n```\n' "$(cat "$out/decoder.log")"
} >"$report"
echo
cat "$report"
if ((failed)); then
  echo "$failed STEPS FAILED; see the logs in $out"
else
  echo "all steps passed"
fi
exit "$failed"
