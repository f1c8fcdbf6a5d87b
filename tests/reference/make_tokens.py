"""Writes tests/reference/tokens.safetensors: 20,000 texts and their ids from the slow CLIPTokenizer
of transformers with ftfy, without begin and end. Its vocabulary is made from data/clip/merges.txt.

    pip install transformers==4.54.1 ftfy==6.3.1 regex==2026.11.15 safetensors numpy
    python tests/reference/make_tokens.py

Texts in which ftfy repairs wrongly decoded characters are replaced by others: ours does not do that.
Characters are those that the running Python knows (3.11: Unicode 14), so that later versions of
Unicode agree about them.
"""
import functools
import json
import random
import tempfile
import unicodedata
from pathlib import Path

import ftfy
import numpy as np
from ftfy.chardata import HTML_ENTITIES
from safetensors.numpy import save_file
from transformers import CLIPTokenizer
from transformers.models.clip.tokenization_clip import bytes_to_unicode

ROOT = Path(__file__).resolve().parents[2]
COUNT = 20000
R = random.Random(20240615)

WORDS = """a the of in on with photo portrait painting style girl boy woman man cat dog house river
mountain sky night day red blue green dark light standing sitting holding wearing looking smiling
Tokyo Paris Monet Van-Gogh DSLR 35mm f/1.8 bokeh 8k UHD HDR ultra-detailed award-winning isn't
don't they're we've I'm she'll he'd rock'n'roll CAN'T cafe naive state-of-the-art e-mail sks ohwx
unbelievable antidisestablishmentarianism xylophone jazz quixotic zyzzyva""".split()
TAGS = """1girl 2boys solo long_hair short_hair blue_eyes looking_at_viewer open_mouth :d ^_^ >_< o_o
hair_between_eyes school_uniform thighhighs (series) fate_(series) saber_(fate) hatsune_miku vocaloid
highres absurdres masterpiece best_quality multiple_girls one_eye_closed \\(medium\\) :3 ;) =_= +_+
no_humans 1980s_(style) artist:name rating:safe score_9 score_8_up <lora:name:0.8> [dark:0.5]""".split()
EMOJI = """😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇯🇵 ❤️ ✨ 🏴󠁧󠁢󠁷󠁬󠁳󠁿 1️⃣ 👨🏿‍🚀 🧑‍🤝‍🧑 ☺ ☺️ 🫠 🐈‍⬛""".split()
CONTRACTIONS = """'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'M 'LL 'lL 'D 'ſ 'x 'st 'rex ''s '''re ' " `
’s ‘t “x” ‚ „ ʼn""".split()
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|StartOfText|>", "<|ENDOFTEXT|>", "<|endoftext|",
           "<|<|endoftext|>|>", "!<|endoftext|>", "<|ſtartoftext|>", "</w>", "Ġ", "<|"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u1680", "\u2003",
          "\u2009", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\u180e"]
SIGMAS = ["ΟΔΟΣ", "Σ", "ΣΣ", "Α.Σ", "ΑΣ'", "ΑΣ'Α", "ⒶΣ", "1Σ", "ΑΣ\u0301", "Α\u0345Σ", "ΣΑΣ Σ",
          "ªΣ", "ⅣΣ", "🅰Σ"]
CASES = ["İ", "I", "ı", "ẞ", "Ǆ", "ǅ", "K", "Å", "Ω", "Ѐ", "Ა", "Ꭰ", "𐐀", "Ａ", "ſ", "ŉ", "ᾼ", "ᾈ"]
NUMBERS = "0123456789²³¼½¾٣٤५६๔๕Ⅳⅷↂ①⒈㊀〇一二百千萬৴𝟘𝟙𐄇௧፩"
SHAPES = "ﬀﬁﬂﬃﬄﬅﬆĲĳŉǄǅǆǇǈǉǊǋǌǱǲǳﬗ" + "".join(map(chr, range(0xFF01, 0xFFEF)))
QUOTES = "‘’‚‛“”„‟ʼ´`′″«»‹›"


def assigned(first, last):
    """The characters of a range that are something."""
    return [chr(c) for c in range(first, last + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


SCRIPTS = [assigned(*ends) for ends in (
    (0xA1, 0x17F), (0x180, 0x24F), (0x250, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x5F4),
    (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x10A0, 0x10FF), (0x1100, 0x11FF),
    (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x20CF), (0x2100, 0x214F),
    (0x2190, 0x23FF), (0x2460, 0x24FF), (0x2500, 0x27BF), (0x2C60, 0x2C7F), (0x3000, 0x30FF),
    (0x3130, 0x318F), (0x4E00, 0x9FFF), (0xA640, 0xA7FF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF),
    (0xFE00, 0xFEFE), (0x10400, 0x1044F), (0x1D100, 0x1D1FF), (0x1D400, 0x1D7FF),
    (0x1F100, 0x1F1FF), (0x1F300, 0x1F6FF), (0x20000, 0x2A6DF), (0x2F800, 0x2FA1D))]
MARKS = [chr(c) for c in range(0x300, 0x1F000) if unicodedata.category(chr(c)) in ("Mn", "Mc", "Me")]
ALL = [c for c in map(chr, range(0x20000)) if unicodedata.category(c) not in ("Cn", "Cs", "Co")]
CONTROLS = [chr(c) for c in (*range(0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010),
                             *range(0x202A, 0x202F), *range(0x2060, 0x2065), *range(0x206A, 0x2070),
                             0xAD, 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC, 0xFFFD, 0xE0041, 0x1D173)]
ENTITIES = sorted(HTML_ENTITIES)


def some(pool, low, high, join=""):
    return join.join(R.choice(pool) for _ in range(R.randint(low, high)))


def caption():
    text = some(WORDS, 2, 16, " ")
    return R.choice([str, str.upper, str.title, str.capitalize, str, str])(text) + R.choice(["", ".", "!?", "..."])


def entity():
    number = R.choice([R.randrange(0x110), R.randrange(0x3000), R.randrange(0x120000), 0, 59, 0x80, 0x9F, 0xD800,
                       0xFFFE, 10 ** 20])
    if unicodedata.category(chr(min(number, 0x10FFFF))) in ("Cn", "Cs", "Co"):
        number = 0xFFFE
    return R.choice([R.choice(ENTITIES), R.choice(ENTITIES), f"&#{number};", f"&#x{number:x};",
                     f"&#X{number:X};", f"&amp;#{number};", "&amp;amp;", "&amp", "&nosuch;", "&#;",
                     "&#x;", "&#12ab;", "&;", "&&amp;", "＆amp;", "&lt;", "&quot;", "&am\x01p;"])


def terminal():
    return R.choice(["\x1b[31m", "\x1b[0m", "\x1b[1;32mbold", "\x1b[", "\x1b[;;", "\x1b[٣m", "\x1b]x", "\x1b\x1b[K"])


def mixed():
    return "".join(R.choice(KINDS[:-1])() for _ in range(R.randint(2, 5)))


KINDS = [
    caption, caption, caption,
    lambda: some(TAGS, 3, 25, ", "), lambda: some(TAGS, 3, 25, R.choice([", ", ",", " "])),
    lambda: some(EMOJI + WORDS, 1, 8, R.choice(["", " "])),
    lambda: some(R.choice(SCRIPTS), 1, 30), lambda: some(R.choice(SCRIPTS) + [" "] * 20, 1, 40),
    lambda: "".join(R.choice(some(R.choice(SCRIPTS), 1, 4) + some(WORDS, 1, 1)) + some(MARKS, 0, 4)
                    for _ in range(R.randint(1, 8))),
    lambda: some(CONTROLS + WORDS, 1, 12), lambda: some(CONTRACTIONS + WORDS, 1, 12),
    lambda: some(WORDS, 1, 1) + some(CONTRACTIONS, 1, 3), lambda: some(NUMBERS, 1, 12),
    lambda: some(list(SHAPES) + WORDS, 1, 12), lambda: some(list(QUOTES) + WORDS, 1, 12),
    lambda: some([entity() for _ in range(4)] + WORDS, 1, 8), lambda: some(SPACES + WORDS, 1, 12),
    lambda: some(SPECIAL + WORDS + [" "], 1, 6), lambda: some(SIGMAS + CASES + [" "], 1, 6),
    lambda: some([terminal()] + WORDS, 1, 5), lambda: some(ALL, 1, 12), lambda: some(ALL, 1, 3),
    lambda: some([chr(c) for c in range(32, 127)], 1, 60),
    lambda: some(["a", "b", "</w>", "ab", "é", "Ã©", "â€™", "<", "\n"], 1, 12),
    lambda: "".join(R.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(R.randint(20, 200))),
    lambda: R.choice(["a", "!", "ha", "字", "😀", "no", "aΣ", "e\u0301"]) * R.randint(1, 150),
    mixed,
]


def damaged(text):
    """Bytes that are no UTF-8."""
    data = bytearray(text.encode())
    for _ in range(R.randint(1, 4)):
        at = R.randrange(len(data) + 1)
        data[at:at + R.randrange(2)] = bytes(R.randrange(256) for _ in range(R.randrange(3)))
    return bytes(data)


def make_tokenizer():
    lines = (ROOT / "data/clip/merges.txt").read_text("utf-8").splitlines()
    letters = list(bytes_to_unicode().values())
    names = letters + [c + "</w>" for c in letters] + [line.replace(" ", "") for line in lines]
    names += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
        Path(folder, "merges.txt").write_text("#version\n" + "\n".join(lines) + "\n", "utf-8")
        return CLIPTokenizer(f"{folder}/vocab.json", f"{folder}/merges.txt")


def main():
    tokenizer = make_tokenizer()
    whole = tokenizer.fix_text
    without_repair = functools.partial(ftfy.fix_text, fix_encoding=False)

    def ids_of(text, fix):
        tokenizer.fix_text = fix
        return tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))

    texts = [b"", b" ", b"\n", "a photo of a cat".encode(), ("word " * 3000).encode(), b"a" * 5000,
             ("e\u0301\u0323" * 1000).encode()]
    all_ids, all_texts, n_repaired = [], [], 0
    seen = set()
    while len(all_ids) < COUNT:
        if len(all_ids) < len(texts):
            data = texts[len(all_ids)]
        else:
            text = R.choice(KINDS)()
            data = damaged(text) if R.random() < 0.04 else text.encode("utf-8")
        if data in seen:
            continue
        seen.add(data)
        text = data.decode("utf-8", "replace")
        if any(unicodedata.category(c) == "Cn" for c in text):
            continue
        ids = ids_of(text, whole)
        if ids != ids_of(text, without_repair):
            n_repaired += 1
            continue
        all_texts.append(data)
        all_ids.append(ids)
    save_file({
        "text": np.frombuffer(b"".join(all_texts), np.uint8),
        "text_end": np.cumsum([len(t) for t in all_texts]).astype(np.int32),
        "id": np.array([i for ids in all_ids for i in ids], np.uint16),
        "id_end": np.cumsum([len(ids) for ids in all_ids]).astype(np.int32),
    }, ROOT / "tests/reference/tokens.safetensors")
    print(f"{len(all_ids)} texts, {sum(map(len, all_ids))} ids; {n_repaired} with repairs left out")


if __name__ == "__main__":
    main()
