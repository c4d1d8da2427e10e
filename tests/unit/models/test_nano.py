"""The shipped model: small, read back unchanged, able; and the command that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gapo_lab.config.compose import compose_run
from gapo_lab.data.micro import blocks
from gapo_lab.data.micro.generator import SPLITS, generate
from gapo_lab.data.tasks.prompt import MARKERS, messages
from gapo_lab.errors import UserError
from gapo_lab.models.nano import block_warm_start, exact_match, network, warm_start
from gapo_lab.models.nano import tokenizer as vocabulary
from gapo_lab.planning.validation import check
from gapo_lab.utils import command_line

# transformers and a model take seconds to load
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer():
    return vocabulary.load()


@pytest.fixture(scope="module")
def model():
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(vocabulary.FOLDER, dtype=torch.float32).eval()


def test_the_checkpoint_is_complete_and_below_8_mb(model, tokenizer):
    sizes = {f.name: f.stat().st_size for f in vocabulary.FOLDER.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= set(sizes)
    assert sum(sizes.values()) < 8e6
    assert model._no_split_modules and model.config.vocab_size == len(tokenizer)
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_the_large_one_is_twice_the_size_answers_better_and_has_the_same_words(model, tokenizer):
    from transformers import AutoModelForCausalLM

    folder = compose_run(["model=nano_large"]).model.path
    large = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert 1.8 < large.num_parameters() / model.num_parameters() < 2.2
    assert large.num_parameters() / 1e9 == pytest.approx(compose_run(["model=nano_large"]).model.billions, rel=0.05)
    assert vocabulary.load(Path(folder)).get_vocab() == tokenizer.get_vocab()
    everything = [f for f in Path(vocabulary.__file__).parent.glob("*checkpoint/*") if f.is_file()]
    assert sum(f.stat().st_size for f in everything) < 8e6
    tasks = generate("id", 64)
    torch.manual_seed(0)
    greedy, sampled = (exact_match.exact_match(large, tokenizer, tasks, t) for t in (0.0, 1.0))
    assert 0.1 < sampled < greedy and greedy > 0.6


def test_the_large_one_takes_no_lists():
    with pytest.raises(UserError, match="model=nano_large: was only taught edits"):
        check(compose_run(["model=nano_large", "data=lists", "algo=group_aware"]))


def test_the_tokenizer_is_read_from_the_folder_as_it_was_trained(tokenizer):
    trained = vocabulary.train()
    assert trained.get_vocab() == tokenizer.get_vocab()
    for split in SPLITS:
        tasks = generate(split, 200)
        assert exact_match.prompt_ids(trained, tasks) == exact_match.prompt_ids(tokenizer, tasks)


@pytest.mark.parametrize("text", ["user = load(item, 3)\n", "\treturn a[0] ", "äöü 漢字 🙂", "  if x<3:\r\n", "-a\n+b"])
def test_any_text_survives(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("split", SPLITS)
def test_truths_survive_and_fit(tokenizer, split):
    tasks = generate(split, 500)
    rows = tokenizer([t.truth for t in tasks])["input_ids"]
    assert tokenizer.batch_decode(rows) == [t.truth for t in tasks]
    assert max(map(len, rows)) < exact_match.LONGEST_ANSWER
    assert max(map(len, exact_match.prompt_ids(tokenizer, tasks))) <= 80


def test_markers_are_single_tokens_and_the_system_message_is_left_out(tokenizer):
    assert all(len(tokenizer(m)["input_ids"]) == 1 for m in (*MARKERS, vocabulary.ANSWER, vocabulary.END))
    chat = messages(generate("id", 1)[0])
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text == chat[1]["content"] + vocabulary.ANSWER


def test_the_model_answers_id_tasks_and_sampling_leaves_room_to_learn(model, tokenizer):
    tasks = generate("id", 64)
    torch.manual_seed(0)
    greedy = exact_match.exact_match(model, tokenizer, tasks)
    assert greedy > 0.5
    assert 0.05 < exact_match.exact_match(model, tokenizer, tasks, temperature=1.0) < greedy


def test_padding_does_not_change_an_answer(model, tokenizer):
    tasks = generate("id", 16, seed=5)
    assert exact_match.answers(model, tokenizer, tasks) == exact_match.answers(model, tokenizer, tasks, batch=1)


def test_examples_weigh_the_answer_and_the_added_lines(tokenizer):
    task = generate("train", 1)[0]
    (example,) = warm_start.examples([task], tokenizer, history_weight=0.3)
    assert len(example.ids) == len(example.weights)
    taught = [i for i, w in zip(example.ids, example.weights, strict=True) if w == 1]
    assert tokenizer.decode(taught) == task.truth + vocabulary.END
    shown = [i for i, w in zip(example.ids, example.weights, strict=True) if w == 0.3]
    assert tokenizer.decode(shown) == "".join(h.after for h in task.history)


def test_the_network_starts_near_the_identity():
    start = network.build(vocabulary=300, pad=0, end=1)
    weight = start.model.layers[0].self_attn.q_proj.weight
    assert weight.diagonal().mean() > 0.4
    assert (weight - torch.diag(weight.diagonal())).abs().mean() < 0.1


def test_a_warm_start_of_a_few_steps_lowers_the_loss_and_repeats(tokenizer, tmp_path):
    settings = warm_start.WarmStart(steps=8, batch=16, warmup=2)
    losses: list[float] = []
    first = warm_start.train(settings, tokenizer, lambda step, loss, model: losses.append(loss))
    assert losses[-1] < losses[0]
    again = warm_start.train(settings, tokenizer)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    warm_start.save(first, tokenizer, tmp_path / "made")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]
    assert vocabulary.load(tmp_path / "made").get_vocab() == tokenizer.get_vocab()


def test_the_command_names_a_bad_number_of_steps(tmp_path, capsys):
    with pytest.raises(UserError, match="--steps 0"):
        warm_start.main(["--out", str(tmp_path / "x"), "--steps", "0"])
    with pytest.raises(UserError, match="--size huge: no such size"):
        warm_start.main(["--out", str(tmp_path / "x"), "--size", "huge"])
    assert command_line.script(lambda: warm_start.main(["--out", str(tmp_path / "x"), "--steps", "0"])) == 2
    assert capsys.readouterr().err == "--steps 0: not 1 or above. Give the number of steps\n"


def test_the_one_for_blocks_has_the_rare_kinds_to_learn(tokenizer):
    from transformers import AutoModelForCausalLM

    config = compose_run(["data=micro_blocks"])
    folder = Path(config.model.path)
    assert folder.name == "blocks_checkpoint" and vocabulary.load(folder).get_vocab() == tokenizer.get_vocab()
    tasks = blocks.generate("id", 128)
    truths = tokenizer([task.truth for task in tasks])["input_ids"]
    assert max(map(len, truths)) < config.data.max_response_length <= exact_match.LONGEST_ANSWER
    assert max(map(len, exact_match.prompt_ids(tokenizer, tasks))) <= config.data.max_prompt_length
    taught = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rare = [task for task in tasks if task.kind in blocks.RARE_KINDS]
    common = [task for task in tasks if task.kind in blocks.COMMON_KINDS]
    assert exact_match.exact_match(taught, tokenizer, rare) + 0.2 < exact_match.exact_match(taught, tokenizer, common)


def test_the_warm_start_for_blocks_goes_on_from_nano_and_learns(tokenizer):
    losses = []
    settings = block_warm_start.BlockStart(steps=8, batch=16)
    block_warm_start.train(settings, tokenizer, lambda _, loss, __: losses.append(loss))
    assert sum(losses[-3:]) < sum(losses[:3])
