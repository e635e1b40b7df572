"""Every mistake ends in its exit status and one message that names value and remedy.

Status 2: the command line or a file cannot be read as what it should be; 1: its values are refused.
"""

import re
import shlex
from pathlib import Path

import pytest

from tests.helpers.command import status_of

STREET = "--config experiments/clvae/toy_street.yaml"
QUICK = (
    "--trainer.accelerator cpu --trainer.max_steps 1 --trainer.logger false "
    "--trainer.enable_progress_bar false --model.channels 2 --model.spade_channels 4 "
    "--model.discriminator_channels 4 --data.batch_size 2 --data.num_workers 0 "
    "--evaluation.metrics []"
)
FIT = f"fit {STREET} {QUICK} --run_dir {{run}}"
MINE = f"{FIT} --data Folder --data.num_classes 3 --data.image_size 32 --data.root {{p}}/"
FEW = "fit --config experiments/fewshot_smis/toy_dense.yaml --evaluation.metrics [] --run_dir {run}"
GAN = "fit --config experiments/stylegan2/toy64.yaml --data.image_size 32 --run_dir {run}"
INVERT = "invert --prior toy_portrait --out {run}"
EDIT = "edit --prior toy_portrait --output {run}"
EXPORT = "export --output {run}"
EVALUATE = "evaluate --real {p}/good/val/images --fake {p}/good/val/images"
TOY = f"{EVALUATE} --metrics fd:toy_street"
LAYOUT = f"{EVALUATE} --metrics layout --segmenter toy_street"
PREDICT = f"predict {STREET} {QUICK} --run_dir {{run}}"
UNCONDITIONAL = "predict --config experiments/stylegan2/toy64.yaml --trainer.accelerator cpu"

COMMAND_LINE = [
    ("trian", 2, r"invalid choice: 'trian' \(choose from '?fit"),
    ("fit", 2, r"There is no method and no data.*--config"),
    ("fit --config gone.yaml", 2, r"gone\.yaml: no such file.*experiments/"),
    ("fit --config {p}/empty", 2, r"empty: a directory\. Name a file"),
    ("fit --print-sbatch --config x.yaml --trainer.devices auto", 1, r"as a number, got 'auto'"),
    (f"{FIT} --model.chanels 3", 2, r"'chanels'.*did you mean 'channels'"),
    (f"{FIT} --data.channels 3", 2, r"ToyStreet has no argument 'channels' \(--data\.channels\)"),
    (f"{FIT} --trainer.logger 3", 2, r"trainer\.logger: expected .*bool or null, got 3"),
    (f"{FIT} --evaluation.metrics 3", 2, r"evaluation\.metrics: .*3"),
    (f"{FIT} --trainer.max_step 3", 2, r"max_step.*did you mean '--trainer\.max_steps'"),
    (f"{FIT} --model.channels wide", 2, r"'channels'.*expected int, got wide"),
    (f"{FIT} --model.channels 1.5", 2, r"'channels'.*int.*1\.5"),
    (f"{FIT} --model.kl_norm mean", 2, r"'kl_norm'.*'level', 'mask'.*mean"),
    (f"{FIT} --model.class_wise maybe", 2, r"'class_wise'.*bool.*maybe"),
    (f"{FIT} --model.lr_g nan", 2, r"'lr_g'.*float.*nan"),
    (f"{FIT} --data.image_size [32,32,3]", 2, r"'image_size'.*\[32, 32, 3\]"),
    (f"{FIT} --trainer.max_steps many", 2, r"trainer\.max_steps: expected int, got many"),
    (f"{FIT} --trainer.precision 8", 2, r"trainer\.precision: expected.*'16-mixed'.*got 8"),
    (f"{FIT} --seed_everything x", 2, r"seed_everything: expected bool or int, got x"),
    (f"{FIT} --model CLVAEE", 2, r"no class 'CLVAEE'; did you mean 'CLVAE'"),
    (f"{FIT} --data CLVAE", 2, r"no class 'CLVAE'.*ToyStreet"),
    (f"{FIT} --trainer.callbacks Foo", 2, r"no class 'Foo'.*GeneratorEMA"),
    (
        f'{FIT} --evaluation.metrics \'[{{{{"class_path":"FIDD"}}}}]\'',
        2,
        r"no class 'FIDD'.*FrechetDistance",
    ),
    ("data check", 2, r"Give one of --config and --data"),
    ("data check --config a --data b", 2, r"Give one of --config and --data"),
    ("data check --data ade20k --root {p} --data.lable_order raw", 2, r"did you mean"),
    ("data prepare ade20k", 2, r"required: --root"),
    ("data prepare coco --annotations {p}/file", 2, r"--annotations need --output"),
    ("data prepare ade20k --annotations {p} --output {run}", 2, r"of coco, labelme.*'ade20k'"),
    ("data fix", 2, r"invalid choice: 'fix'"),
    ("draw --prior toy_portrait --num 0 --output {run}", 2, r"--num must be at least 1, got 0"),
    ("draw --prior toy_portrait --num x --output {run}", 2, r"--num: expected int, got x"),
    ("invert --prior a --images b --out {run} --steps 1", 2, r"--steps must be at least 2, got 1"),
    ("invert --prior a --images b --out {run} --tune -1", 2, r"--tune must be at least 0, got -1"),
    ("pairs --prior a --num -4 --out {run}", 2, r"--num must be at least 1, got -4"),
    ("import {p}/file --as biggan --out {run}", 2, r"invalid choice: 'biggan'"),
    ("edit --prior a --ckpt_path b --output {run}", 2, r"Give one of --prior and --ckpt_path"),
    ("evaluate --real a", 2, r"required: --fake"),
    ("draw --prior a --output {run} --truncation .nan", 2, r"--truncation is nan; give a finite"),
    ("draw --prior a --output {run} --seed=-1", 2, r"--seed is -1; give a seed from 0"),
    (
        f"invert --prior a --images b --out {{run}} --seed {2**64}",
        2,
        r"--seed is 18446744073709551",
    ),
    ("pairs --prior a --num 4 --out {run} --truncation .inf", 2, r"--truncation is inf; give a fi"),
    ("export --output {run} --split .nan 0 0", 2, r"--split\[0\] is nan; give a finite number"),
    (
        "export --output {run} --batch_size 99999999999999999999",
        2,
        r"--batch_size is 9+; give at m",
    ),
    ("studio --port 65536", 2, r"--port must be from 0 to 65535, got 65536"),
    ("studio --port=-1", 2, r"--port must be from 0 to 65535, got -1"),
    ("weights fetch", 2, r"fetch needs a NAME, --all or --all-for"),
    ("weights fetch nobody", 2, r"Unknown weights 'nobody'; choose vgg19"),
    ("weights where nobody", 2, r"Unknown weights 'nobody'; choose vgg19"),
    ("weights verify nobody", 2, r"Unknown weights 'nobody'; choose vgg19"),
]
YAML = [
    ("fit --config {p}/broken.yaml", 2, r"broken\.yaml is not valid YAML: .*line 2"),
    ("fit --config {p}/list.yaml", 2, r"list\.yaml is not a mapping"),
    ("fit --config {p}/binary.yaml", 2, r"binary\.yaml is not valid YAML: .*0x80"),
    ("fit --config {p}/deep.yaml", 2, r"deep\.yaml is not valid YAML: it is nested too deeply"),
    ("fit --config 'gone \"a'", 2, r"gone \"a: no such file"),
    ("fit --config {p}/fifo.png", 2, r"fifo\.png: no such file"),
    ("data check --config {p}/deep.yaml", 1, r"deep\.yaml is not valid YAML: it is nested too"),
    ("data check --config {p}/broken.yaml", 1, r"broken\.yaml is not valid YAML: .*line 2"),
    ("fit --config {p}/no_data.yaml", 2, r"There are no data.*--data CLASS"),
    (f"{FIT} --config {{p}}/unknown_key.yaml", 2, r"num_sample.*unknown_key\.yaml.*num_samples"),
    (f"{FIT} --config {{p}}/interpolation.yaml", 2, r"'nope' not found.*data\.init_args"),
    ("data check --config {p}/no_data.yaml", 1, r"no_data\.yaml has no key 'data'.*--data"),
]
VALUES = [
    (f"{FIT} --model.channels 0", 1, r"channels must be a positive number, got 0"),
    (f"{FIT} --model.channels=-4", 1, r"channels must be a positive number, got -4"),
    (f"{FIT} --model.lr_g .inf", 1, r"model\.init_args\.lr_g is inf; give a finite number"),
    (f"{FIT} --model.lr_g=-1", 1, r"lr_g must be 0 or a positive.* got -1"),
    (f"{FIT} --model.kl_weight=-1", 1, r"kl_weight must be 0 or a positive, finite number, got -1"),
    (f"{FIT} --data.batch_size 0", 1, r"batch_size must be a positive number, got 0"),
    (f"{FIT} --data.eval_batch_size=-1", 1, r"eval_batch_size must be a positive number, got -1"),
    (f"{FIT} --seed_everything=-1", 1, r"seed_everything is -1; give a seed from 0 to 4,294"),
    (f"{FIT} --seed_everything {2**64}", 1, r"seed_everything is 18446744073709551616; give at m"),
    (f"{FIT} --evaluation.seed=-1", 1, r"evaluation\.seed is -1; give a seed"),
    (f"{PREDICT} --seed=-1", 1, r"seed is -1; give a seed"),
    (f"{FIT} --data.batch_size {10**20}", 1, r"data\.init_args\.batch_size is 10+; give at most"),
    (f"{FIT} --data.num_workers 9999", 1, r"num_workers must be at most \d+ on this .* got 9999"),
    (f"{FIT} --data.num_workers=-1", 1, r"num_workers must be 0 or a positive, .* got -1"),
    (f"{FIT} --data.image_size 0", 1, r"image_size must be between 32 and 256, got 0"),
    (f"{FIT} --data.image_size 33", 1, r"divisible by 32.*got \(33, 33\); resize"),
    (f"{FIT} --data.train_size 0", 1, r"train_size must be at least 1, got 0; give"),
    (f"{FIT} --evaluation.num_samples 0", 1, r"num_samples must be at least 1, got 0"),
    (f"{FIT} --checkpoint.mode up", 1, r"`mode` can be min, max but got up"),
    (f"{PREDICT} --num_samples 0", 1, r"num_samples must be a positive number, got 0"),
]
TRAINER = [
    (f"{FIT} --trainer.accelerator gpu", 1, r"is gpu, but torch sees no GPU.*accelerator cpu"),
    (f"{FIT} --trainer.accelerator quantum", 1, r"accelerator='quantum'.*Available.*cpu"),
    (f"{FIT} --trainer.devices 0", 1, r"trainer\.devices is '?0'?; give a number of at least 1"),
    (f"{FIT} --trainer.devices two", 1, r"trainer\.devices is 'two'; give a number"),
    (f"{FIT} --trainer.devices 999", 1, r"trainer\.devices is 999, but this machine has at most"),
    (f"{FIT} --trainer.strategy dpp", 1, r"'dpp'.*did you mean 'ddp'.*auto"),
    (f"{FIT} --trainer.strategy ddp", 1, r"A GAN trains.*ddp_find_unused_parameters_true"),
    (f"{FIT} --trainer.max_steps=-5", 1, r"max_steps.*-1 \(infinite steps\).*-5"),
    (f"{FIT} --trainer.val_check_interval 0", 1, r"val_check_interval must be a positive.*got 0"),
    (f"{FIT} --trainer.accumulate_grad_batches 2", 1, r"Use --model\.accumulate_grad_batches"),
    (f"{FIT} --trainer.gradient_clip_val 1", 1, r"Remove `Trainer\(gradient_clip_val=1"),
]
DATA = [
    (f"{MINE}gone", 1, r"There is no directory .*gone/train/images.*check the root"),
    (f"{MINE}file", 1, r"There is no directory .*file/train/images"),
    (f"{MINE}empty", 1, r"There is no directory .*empty/train/images"),
    (f"{MINE}high", 1, r"0\.png has the value 9.*expected 0 to 2 and 255\. Map it"),
    (f"{MINE}wide_masks", 1, r"labels/0\.png is 64x32 and .*32x32"),
    (f"{MINE}row_short", 1, r"labels/0\.png is 32x31 and .*32x32"),
    (f"{MINE}loop", 1, r"labels/0\.png cannot be read \(No such file: a link to"),
    (f"{MINE}two_classes", 1, r"has 2 classes, but num_classes is 3; make them agree"),
    (f"{MINE}cut_off", 1, r"images/0\.png cannot be read.*replace or remove"),
    (f"{MINE}nothing_in_it", 1, r"images/0\.png cannot be read \(the file is empty\)"),
    (f"{MINE}alone", 1, r"images/2\.png has no mask: expected .*add it or remove"),
    (f"{MINE}twins", 1, r"0\.png and .*0\.jpg have the same stem; remove one"),
    (f"{MINE}coloured", 1, r"RGB \(9, 0, 3\) at row 0.*--fix-palette"),
    (
        "data prepare folder --root {p}/good --data.num_classes 3 --output {run} --map 255",
        1,
        r"--map 255 is not VALUE=CLASS, such as 255=1",
    ),
    ("data prepare deepfashion --root {p} --output {run} --map 255=1", 2, r"not for DeepFashion"),
    (f"{MINE}good --data.num_classes 0", 1, r"num_classes must be from 1 to 255, got 0"),
    (f"{MINE}good --data.num_classes 300", 1, r"num_classes must be from 1 to 255, got 300"),
    (f"{MINE}good --data.shots 0", 1, r"shots is 0, but .*from 1 to 3"),
    (f"{MINE}good --data.shots 9", 1, r"shots is 9, but the training split has 3"),
    (f"{MINE}good --data.shots gone.txt", 1, r"There is no file gone\.txt"),
    (f"{MINE}good --data.shots [7]", 1, r"'7' is not in the training split"),
    ("data check --data folder --root {p}/good", 1, r"no .*classes\.txt to name the classes"),
    ("data check --data moon --root {p}", 1, r"data set 'moon'; known: ade20k, .*celebamaskhq"),
    ("data check --data folder --root {p}/gone --data.num_classes 3", 1, r"no directory .*gone"),
    ("data prepare folder --root {p}/good --data.num_classes 0", 1, r"num_classes must be from 1"),
    (
        "data prepare coco --annotations gone.json --output {run}",
        1,
        r"no gone\.json; give the file",
    ),
    ("data prepare coco --annotations {p}/file --output {run}", 1, r"file cannot be read as coco"),
    (f"{PREDICT} --masks {{p}}/empty", 1, r"empty has no images; expected files ending"),
    (f"{PREDICT} --masks {{p}}/gone", 1, r"There is no directory .*gone"),
    (
        f"{UNCONDITIONAL} --masks {{p}}/empty --run_dir {{run}}",
        1,
        r"StyleGAN2 does not generate fr",
    ),
    ("evaluate --real {p}/gone --fake {p}/good/val/images", 1, r"no directory .*gone"),
    ("evaluate --real {p}/good/val/images --fake {p}/empty", 1, r"empty has no images"),
    (f"{TOY} --fake {{p}}/cut_off/train/images", 1, r"0\.png cannot be read"),
    (f"{TOY} --fake {{p}}/nothing_in_it/train/images", 1, r"0\.png cannot be read"),
    (f"{EVALUATE} --metrics diversity:toy_street", 1, r"0 has only one\. .* name them 0_0"),
    (f"{LAYOUT} --masks {{p}}/alone/train/labels", 1, r"needs the mask .* 1 of .*labels/2\.\*"),
    (f"{INVERT} --images {{p}}/gone", 1, r"no directory .*gone"),
    (f"{INVERT} --images {{p}}/empty", 1, r"empty has no images"),
    ("edit --prior toy_portrait --image {p}/gone.png --drag 3,3,5,0 --output {run}", 1, "gone.png"),
    (
        "edit --prior toy_portrait --image {p}/fifo.png --drag 3,3,5,0 --output {run}",
        1,
        "not a reg",
    ),
    (
        "edit --prior toy_portrait --trajectory {p}/fifo.png --style 1 --output {run}",
        1,
        "no such f",
    ),
    (f"{EDIT} --drag 3,3,5,0 --region {{p}}/gone.png", 1, r"gone\.png"),
    (
        f"{EDIT} --drag 3,3,5,0 --codes {{p}}/gone.safetensors",
        1,
        r"gone\.safetensors cannot be rea",
    ),
    (
        f"{EDIT} --drag 3,3,5,0 --tuned {{p}}/gone.safetensors",
        1,
        r"gone\.safetensors cannot be rea",
    ),
    ("edit --prior toy_portrait --trajectory {p}/deep.yaml --style 1 --output {run}", 1, "deeply"),
    ("edit --prior toy_portrait --trajectory {p}/list.yaml --style 1 --output {run}", 1, "list.ya"),
]
WEIGHTS = [
    (f"{FIT} --ckpt_path gone.ckpt", 1, r"There is no checkpoint gone\.ckpt; name one"),
    ("test --ckpt_path gone.ckpt", 1, r"There is no checkpoint gone\.ckpt; name one"),
    ("test --ckpt_path {p}/gan.ckpt", 1, r"gan\.ckpt has no config\.yaml.*--config FILE"),
    (f"{FIT} --ckpt_path https://host/a.ckpt", 1, r"There is no checkpoint https://host/a\.ckpt"),
    (f"{FIT} --ckpt_path {{p}}/evil.pt --weights_only false", 1, r"evil\.pt cannot be read"),
    (f"{FIT} --ckpt_path {{p}}/cut_off.ckpt", 1, r"cut_off\.ckpt cannot be read.*truncated"),
    (f"{FIT} --ckpt_path {{p}}/stateless.ckpt", 1, r"has no state_dict.*semsynth import"),
    (f"{FIT} --ckpt_path {{p}}/nan.ckpt", 1, r"nan\.ckpt has NaN or infinite weights \(a\)"),
    (f"{FIT} --ckpt_path {{p}}/gan.ckpt", 1, r"is a checkpoint of StyleGAN2, .* CLVAE"),
    (f"{FIT} --ckpt_path {{p}}/shapes.ckpt", 1, r"shapes\.ckpt do not fit.*Missing.*config\.yaml"),
    (f"{FIT} --model.perceptual vgg19 --model.perceptual_weight 1", 1, r"weights fetch vgg19"),
    (f"{FEW} --model.prior nobody", 1, r"No prior is called 'nobody'.*semsynth import"),
    (f"{FEW} --model.prior {{p}}/other_size.safetensors", 1, r"other_size.*as its card describes"),
    (f"{FEW} --model.prior {{p}}/other_kind.safetensors", 1, r"other_kind\.json does not describe"),
    (f"{FEW} --model.prior {{p}}/changed.safetensors", 1, r"not those that its card changed\.json"),
    (f"{FEW} --model.prior {{p}}/cut_off.safetensors", 1, r"cut_off\.safetensors cannot be read"),
    (f"{FEW} --model.prior {{p}}/strange.safetensors", 1, r"strange\.json.*colour"),
    (f"{FEW} --model.prior {{p}}/no_json.safetensors", 1, r"no_json\.json.*copy .* again"),
    (f"{GAN} --model.init_from toy_portrait", 1, r"prior toy_portrait does not fit.*Give model"),
    ("draw --prior nobody --output {run}", 1, r"No prior is called 'nobody'"),
    ("edit --prior nobody --drag 1,2,3,4 --output {run}", 1, r"No prior is called 'nobody'"),
    (f"{INVERT} --prior nobody --images {{p}}/good/val/images", 1, r"No prior is called 'nobody'"),
    (f"{INVERT} --images {{p}}/good/val/images --perceptual alex", 1, r"alexnet"),
    ("edit --ckpt_path {p}/gan.ckpt --drag 3,3,5,0 --output {run}", 1, r"StyleGAN2.*UserContr"),
    (EDIT, 1, r"Nothing to do"),
    (f"{EDIT} --anchor 3,3", 1, r"Nothing to do"),
    (f"{EDIT} --drag 1,2,3", 1, r"--drag X,Y,DX,DY expects 4 comma-separated numbers, got '1,2,3'"),
    (f"{EDIT} --drag 1,2,a,b", 1, r"expects 4 comma"),
    (f"{EDIT} --drag 3,3,nan,0", 1, r"nan"),
    (f"{EDIT} --zoom 3,2,nan", 1, r"must be finite"),
    (f"{EDIT} --drag 999,3,1,9", 1, r"999"),
    (f"{EDIT} --drag -3,2,4,4", 1, r"its point inside the image"),
    ("pairs --prior toy_portrait --num 2 --shard 2/2 --out {run}", 1, r"I from 0 .* got '2/2'"),
    ("pairs --prior toy_portrait --num 2 --estimator raft --out {run}", 1, r"called 'raft'.*dis"),
    ("weights import {p}/file --as vgg19", 1, r"truncated or another"),
    ("weights import gone.pth --as vgg19", 1, r"There is no file gone\.pth; pass the path"),
    (f"{EVALUATE} --metrics ssim", 1, r"Unknown metric 'ssim'; choose from fid, kid"),
    (f"{EVALUATE} --metrics layout", 1, "layout needs a segmenter"),
    (LAYOUT, 1, r"--masks"),
    ("studio --port 0 --clvae x.y", 1, r"No trained method is called 'x\.y'"),
]
IMPORT = [
    ("import gone.pt --as stylegan2 --out {run}", 1, r"there is no file gone\.pt"),
    (
        "import {p}/file --as stylegan2 --out {run}",
        1,
        r"file is neither .* nor a pickle.*Supported",
    ),
    ("import {p}/evil.pkl --as stylegan2 --out {run}", 1, r"shutil\.rmtree.*nothing was executed"),
    ("import {p}/evil.pt --as stylegan2 --out {run}", 1, r"shutil\.rmtree.*nothing was executed"),
    ("import {p}/cut_off.ckpt --as stylegan2 --out {run}", 1, r"cut_off\.ckpt: it cannot be read"),
    ("import {p}/stateless.ckpt --as stylegan2 --out {run}", 1, r"it has weights, not g_ema"),
    ("import {p}/shapes.ckpt --as stylegan2 --out {run}", 1, r"checkpoint of .*not of StyleGAN2"),
    ("import {p}/lacking.pt --as stylegan2 --out {run}", 1, r"lacking\.pt .*mapping layers"),
    ("import {p}/lacking.pt --as fewshot_smis --out {run}", 1, r"no encoder.*--as stylegan2"),
    ("import {p}/file --as user_controllable_lt --out {run}", 1, r"--dataset ffhq"),
    ("import {p}/empty --as clvae --out {run}", 1, r"must contain latest_net_G\.pth.*found none"),
]
PLACES = [
    (f"fit {STREET} --run_dir {{p}}/file", 1, r"file is a file, not a directory.*--run_dir"),
    (f"fit {STREET} --run_dir {{p}}/file/run", 1, r"cannot be written to.*--run_dir"),
    (f"{PREDICT} --output {{p}}/file", 1, r"a file, not a directory.*--output"),
    ("draw --prior toy_portrait --output {p}/file/a", 1, r"cannot be written to.*--output"),
    ("edit --prior toy_portrait --drag 1,1,9,0 --output {p}/file", 1, r"not a direct.*--output"),
    ("evaluate --real {p} --fake {p} --output {p}/file/a.json", 1, r"a directory.*--output"),
    ("invert --prior toy_portrait --images {p} --out {p}/file", 1, r"not a directory.*--out"),
    ("pairs --prior toy_portrait --num 1 --out {p}/file", 1, r"not a directory.*--out"),
    ("import {p}/lacking.pt --as stylegan2 --out {p}/file", 1, r"not a directory.*--out"),
    ("data prepare folder --root {p}/good --data.num_classes 3 --output {p}/file", 1, r"--output"),
    ("invert --prior toy_portrait --images {p} --out {run} --device cuda:9", 1, r"'cuda:9'.*cpu"),
    ("edit --prior toy_portrait --drag 1,1,9,0 --output {run} --device tpu", 1, r"'tpu'.*cpu"),
]
EXPORTS = [
    (EXPORT, 1, r"Give either --ckpt_path of a training, or --prior and --labelled"),
    (f"{EXPORT} --ckpt_path no.ckpt", 1, r"There is no checkpoint no\.ckpt"),
    (f"{EXPORT} --prior toy_portrait", 1, r"--prior needs --labelled"),
    (f"{EXPORT} --prior nobody --labelled .", 1, r"There is no classes\.txt"),
    (f"{EXPORT} --prior x --labelled . --masks .", 1, r"A prior can only generate"),
    (f"{EXPORT} --ckpt_path no.ckpt --num 0", 1, r"--num must be at least 1"),
    (f"{EXPORT} --ckpt_path no.ckpt --split 1 1 0", 1, r"three shares that sum to 1"),
    (f"{EXPORT} --ckpt_path no.ckpt --keep 2", 1, r"--keep must be in 0\.\.1"),
    (f"{EXPORT} --ckpt_path no.ckpt --filters agreement", 1, r"needs --judges"),
    (f"{EXPORT} --ckpt_path no.ckpt --target_precision 0.9", 1, r"give both or none"),
    (f"{EXPORT} --ckpt_path x --filters disagreement --judges a", 1, r"at least two"),
    (f"{EXPORT} --ckpt_path no.ckpt --shard 2/2", 1, r"--shard must be I/N"),
]
TABLE = [*COMMAND_LINE, *YAML, *VALUES, *TRAINER, *DATA, *WEIGHTS, *IMPORT, *PLACES, *EXPORTS]


@pytest.mark.parametrize(("arguments", "status", "message"), TABLE, ids=[row[0] for row in TABLE])
def test_mistake_ends_in_one_message(
    arguments: str,
    status: int,
    message: str,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = shlex.split(arguments.format(p=place, run=tmp_path / "run"))
    found = status_of(words)
    said = capsys.readouterr().err
    assert found == status, said
    assert re.search(message, said, re.DOTALL), said
    assert "Traceback" not in said
    assert "Union" not in said
    if status == 1:
        assert f"semsynth {words[0]}: " in said
    assert words[0] in ("fit", "predict") or not (tmp_path / "run").exists()
