#!/usr/bin/env bash
# The trainings on photographs on one GPU within a time budget, the most valuable first and all of them side by side:
#
#   benchmarks/gpu.sh BUDGET_SECONDS OUT          e.g. benchmarks/gpu.sh 560 "$OUT"
#   benchmarks/gpu.sh --dry OUT                   two steps of each, tiny and on the CPU
#   benchmarks/gpu.sh --pack                      fill .gpu/, on a machine that reaches a package index
#
# 1. faces    StyleGAN2 on celeba64, a prior of faces
# 2. ccp      CLVAE on Clothing Co-Parsing, 192x128, 16 channels wide: weights of 13 MB
# 3. camvid   CLVAE on CamVid, 192x256, likewise
# 4. small    CLVAE on Clothing Co-Parsing, 96x64, 12 channels wide: weights of 8 MB
# 5. rows     the first seed of benchmarks/suites/real.yaml on Clothing Co-Parsing
# 6. speed    python -m benchmarks.speed clvae, with what is left of the budget
#
# A stage whose data are missing is passed over. Data are looked for in SEMSYNTH_DATA, or shared/data/real.
# OUT gets one archive NAME.tar a training: half-precision safetensors with a card, scores, grids, and one sample of each
# test mask, for FID, KID and a judge where there are weights for these; rows.tar holds the samples, scores and table of
# the suite. log.txt says what happened to each.
#
# The machine needs torch, torchvision, torchmetrics, lightning, timm, and what these bring (Pillow, PyYAML, rich,
# safetensors, scipy, matplotlib, filelock, opencv, jinja2). The rest comes along in .gpu/, which git ignores:
#   .gpu/wheels    jsonargparse, docstring-parser, typeshed-client, omegaconf, lpips, clean-fid, shtab: pure Python, 2 MB
#   .gpu/weights   VGG-16 up to relu5_1 and AlexNet in half precision, 25 MB
# `--pack` fills both; VGG-16 and AlexNet must have been fetched (semsynth weights fetch vgg16 alexnet). W&B is not needed:
# without it a stand-in takes its place, and numbers go to CSV files.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
WHEELS="jsonargparse docstring-parser typeshed-client omegaconf lpips clean-fid shtab"
