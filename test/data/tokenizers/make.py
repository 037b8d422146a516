"""Small tokenizers of the usual kinds, trained on text made here, and what the package `tokenizers` makes of many strings.

    pip install tokenizers==0.23.2; python test/data/tokenizers/make.py
"""
import json
import random
import pathlib
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers as pre, processors, trainers

here = pathlib.Path(__file__).parent
rng = random.Random(20261124)

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
U, L = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def cased(after, digits):
    word = r"[^\r\n\p{L}\p{N}]?"
    return (f"{word}{U}*{L}+{after}|{word}{U}+{L}*{after}|{digits}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


DEEPSEEK = [
    r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]
# As it is in DeepSeek's files: escapes, not the characters themselves.
DEEPSEEK = [p.replace("\r", "\\r").replace("\n", "\\n") for p in DEEPSEEK]

WORDS = """the a of to and in that he was it his her with as had she for on at be not but they said one all there
were from little when out up what then would some more very could time Lily dog house garden running jumped better
function return const number string while true false import export class value index i'm you're we'll don't it's
Über straße naïve façade résumé señor niño être garçon Ελλάδα νερό привет мир слово данные 你好 世界 数据 模型 こんにちは
ありがとう 안녕하세요 세계 مرحبا العالم שלום हिन्दी ภาษาไทย""".split()
SPACES = [" ", "  ", "   ", "    ", "\t", "\n", "\n\n", "\r\n", " \n", "\n  ", "\u00a0", "\u3000", "\u2028", "\u0085", "\n\n\n    ", " \t "]
SIGNS = [".", ",", "!", "?", ";", ":", "...", "()", "{}", "[]", "=>", "==", "!=", "//", "/*", "*/", "#", "@", "$", "%", "^&",
         "---", "___", "\"", "'", "``", "\\n", "</a>", "€", "°", "§", "→", "∑", "½", "²", "¿"]
EMOJI = ["🦙", "😀", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "❤️", "🏳️‍🌈"]
ODD = ["e\u0301", "ﬁ", "ſ", "\u200b", "\ufeff", "\u0000", "\u001f", "İ", "ǆ", "Ⅷ", "٣٤", "१२३", "𝔘𝔫𝔦", "\U0010ffff", "ß'ſ", "'S", "'LL", "'Ve"]


def sentence():
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.6: part = rng.choice(WORDS)
        elif kind < 0.7: part = str(rng.randint(0, 10 ** rng.randint(1, 9)))
        elif kind < 0.82: part = rng.choice(SIGNS)
        elif kind < 0.87: part = rng.choice(EMOJI)
        elif kind < 0.92: part = rng.choice(ODD)
        else: part = rng.choice(WORDS).upper() if rng.random() < 0.5 else rng.choice(WORDS).title()
        parts.append(part)
        if rng.random() < 0.8: parts.append(" " if rng.random() < 0.6 else rng.choice(SPACES))
    return "".join(parts)


corpus = [sentence() for _ in range(3000)]
strings = ["", " ", "  ", "\n", "a", " a", "a ", "Hello, world!", "x" * 40, " " * 33, "\n" * 7 + "x", "1234567890123",
           "don't DON'T dOn'T 'tis", "snake_case camelCase PascalCase SCREAMING_CASE", "1,234.56 - 7e10 0xFF 3.14.15",
           "<|eot_id|>", "a<|eot_id|>b", "<b>bold</b>  <b> x", "<s>", "ends with space ", "\ttab\tbed\t",
           "def f(x):\n    return x ** 2  # square\n\n\nprint(f(3))\n", "https://example.org/a?b=c&d=%20#e"]
strings += [sentence() for _ in range(150)]


def byte_level(name, steps, special=("<|begin|>", "<|eot_id|>"), normaliser=None, bos=False, ignore=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore))
    if normaliser: t.normalizer = normaliser
    t.pre_tokenizer = pre.Sequence([*steps, pre.ByteLevel(add_prefix_space=False, use_regex=False)]) if steps else pre.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=700, special_tokens=list(special), initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False))
    t.add_tokens([AddedToken("<b>", normalized=False)])
    if bos:
        t.post_processor = processors.TemplateProcessing(single="<|begin|> $A", pair=None, special_tokens=[("<|begin|>", 0)])
    return name, t


def sentence_piece(name, normaliser, pretokeniser, bos=True):
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    t.normalizer, t.pre_tokenizer = normaliser, pretokeniser
    trainer = trainers.BpeTrainer(vocab_size=800, limit_alphabet=60, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    # Trained on words, so that its tokens are pieces of words, and used as it is.
    trained = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    trained.normalizer, trained.pre_tokenizer = normaliser, pre.Metaspace(prepend_scheme="never")
    trained.train_from_iterator(corpus, trainer)
    state, model = json.loads(t.to_str()), json.loads(trained.to_str())
    state["model"] = model["model"]
    state["added_tokens"] = [a for a in model["added_tokens"] if a["id"] < 3]
    t = Tokenizer.from_str(json.dumps(state))
    if bos:
        t.post_processor = processors.TemplateProcessing(single="<s> $A", pair=None, special_tokens=[("<s>", 1)])
    t.add_tokens([AddedToken("<b>", normalized=False)])
    t.add_special_tokens([AddedToken("<|eot_id|>", rstrip=True, normalized=False)])
    return name, t


split = lambda pattern: pre.Split(Regex(pattern), "isolated")
to_space = normalizers.Replace(" ", "▁")
kinds = [
    byte_level("gpt-2", []),
    byte_level("llama-bpe", [split(LLAMA3)], bos=True, ignore=True),
    byte_level("qwen2", [split(LLAMA3.replace("{1,3}", ""))], normaliser=normalizers.NFC()),
    byte_level("tekken", [split(cased("", r"\p{N}"))], bos=True, ignore=True),
    byte_level("gpt-4o", [split(cased(CONTRACTIONS + "?", r"\p{N}{1,3}"))]),
    byte_level("smollm", [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)][:1] + [split(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]),
    byte_level("deepseek-v3", [split(p) for p in DEEPSEEK], bos=True),
    sentence_piece("llama-2", normalizers.Sequence([normalizers.Prepend("▁"), to_space]), None),
    sentence_piece("mistral-first", None, pre.Metaspace(prepend_scheme="first", split=False)),
    sentence_piece("metaspace", None, pre.Metaspace(prepend_scheme="always", split=True)),
    sentence_piece("gemma", to_space, pre.Split(" ", "merged_with_previous")),
]
ids = {}
for name, t in kinds:
    state = json.loads(t.to_str())
    state["model"]["vocab"] = dict(sorted(state["model"]["vocab"].items(), key=lambda e: e[1]))
    (here / f"{name}.json").write_text(json.dumps(state, ensure_ascii=False, separators=(",", ":")))
    ids[name] = [" ".join(map(str, t.encode(s).ids)) for s in strings]
(here / "expected.json").write_text(json.dumps({"strings": strings, "ids": ids}, separators=(",", ":")))
