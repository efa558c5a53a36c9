"""Mutations of valid dataset files, each known to be harmless (equal data) or harmful (an error or a finding).

A mutation turns the bytes of one file into others; hypothesis draws what and where. In the small world every observation is
referred to by an expression, so that no lost, moved or renamed observation can go unnoticed.
"""

import json

import small_world as world
from hypothesis import strategies as st

SENTENCES = list(world.SENTENCES)
LABELLED = {(frame, identity) for frame, identity, *_ in world.ROWS}


def slug(sentence):
    return sentence.replace(" ", "-")


def dumped(draw, content, exotic=True):
    """JSON in one of the forms that writers produce."""
    indent = draw(st.sampled_from([None, None, 0, 1, 4, "\t"] if exotic else [None]))
    separators = draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])) if exotic else None
    return json.dumps(content, indent=indent, separators=separators)


def encoded(draw, text):
    """Bytes of a text as editors save it."""
    if draw(st.booleans()):
        text = text.replace("\n", draw(st.sampled_from(["\r\n", "\r"])))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


def shuffled(draw, mapping):
    return dict(draw(st.permutations(list(mapping.items()))))


def expression_of(draw):
    """A sentence and the content of its file."""
    sentence = draw(st.sampled_from(SENTENCES))
    label = {str(f): list(ids) for f, ids in world.SENTENCES[sentence].items()}
    content = {"label": label, "ignore": [], "video_name": world.NAME, "sentence": sentence}
    return f"expression/{world.NAME}/{slug(sentence)}.json", content


# --- expression files -------------------------------------------------------------------------------------------------


@st.composite
def harmless_expression(draw):
    path, content = expression_of(draw)
    for change in draw(st.lists(st.sampled_from(HARMLESS_EXPRESSION), max_size=4)):
        content = change(draw, content)
    text = dumped(draw, shuffled(draw, content))
    if draw(st.booleans()):
        text = draw(st.text(" \n\t", max_size=3)) + text + draw(st.text(" \n\t", max_size=3))
    return path, encoded(draw, text)


def _drop_optional(draw, content):
    dropped = draw(st.sampled_from(["ignore", "video_name", "raw_sentence", "tags"]))
    return {k: v for k, v in content.items() if k != dropped}


def _reorder_frames(draw, content):
    return {**content, "label": shuffled(draw, content["label"])}


def _reorder_ids(draw, content):
    return {**content, "label": {f: draw(st.permutations(ids)) for f, ids in content["label"].items()}}


def _repeat_id(draw, content):
    frame = draw(st.sampled_from(sorted(content["label"])))
    ids = content["label"][frame]
    return {**content, "label": {**content["label"], frame: ids + ids[:1]}}


def _empty_frame(draw, content):
    free = [str(f) for f in range(world.FRAMES) if f not in {int(k) for k in content["label"]}]
    return {**content, "label": {**content["label"], draw(st.sampled_from(free)): []}} if free else content


def _pad_frame(draw, content):
    frame = draw(st.sampled_from(sorted(content["label"])))
    zeros = "0" * draw(st.integers(1, 5))
    return {**content, "label": {(zeros + k if k == frame else k): v for k, v in content["label"].items()}}


HARMLESS_EXPRESSION = [
    _drop_optional,
    _reorder_frames,
    _reorder_ids,
    _repeat_id,
    _empty_frame,
    _pad_frame,
    lambda draw, content: {**content, "raw_sentence": draw(st.text(max_size=20))},
    lambda draw, content: {**content, "tags": []},
    lambda draw, content: {**content, "comment": draw(st.sampled_from([None, 3, "x", [1], {"a": {}}]))},
]

NO_TEXT = st.sampled_from([None, 3, 0.5, True, [], ["red cars"], {}, "", "  ", "\n"])
NO_LABEL = st.sampled_from([None, 3, "0", [], [0], True])
NO_IDS = st.sampled_from([None, 0, "0", ["0"], [0.0], [True], [None], [[0]], [{}], [-1], [2**60], {"0": 0}, {}, 0.5])
NO_FRAME = st.sampled_from(["", "a", "1.0", "-1", " 1", "1 ", "0x1", "１", "²", "1e0", "+1", "9" * 30])


@st.composite
def harmful_expression(draw):
    path, content = expression_of(draw)
    kind = draw(st.sampled_from(HARMFUL_EXPRESSION))
    changed = kind(draw, content)
    if isinstance(changed, bytes):
        return path, changed
    text = changed if isinstance(changed, str) else dumped(draw, changed)
    return path, encoded(draw, text)


def _drop_required(draw, content):
    dropped = draw(st.sampled_from(["sentence", "label"]))
    return {k: v for k, v in content.items() if k != dropped}


def _retype_ids(draw, content):
    frame = draw(st.sampled_from(sorted(content["label"])))
    return {**content, "label": {**content["label"], frame: draw(NO_IDS)}}


def _retype_frame(draw, content):
    frame, other = draw(st.sampled_from(sorted(content["label"]))), draw(NO_FRAME)
    return {**content, "label": {(other if k == frame else k): v for k, v in content["label"].items()}}


def _duplicate_key(draw, content):
    text = json.dumps(content)
    choices = ['"sentence": "red cars", ', '"label": {}, ', '"label": {"0": [0]}, ', '"video_name": "0001", ']
    kept = [c for c in choices if c.split(":")[0].strip('"') in content]
    return "{" + draw(st.sampled_from(kept)) + text[1:]


def _duplicate_frame(draw, content):
    text, frame = json.dumps(content), draw(st.sampled_from(sorted(content["label"])))
    again = draw(st.sampled_from([f'"{frame}": [0], ', f'"0{frame}": [0], ', f'"{frame}": [], ']))
    return text.replace('"label": {', '"label": {' + again)


def _truncate(draw, content):
    text = dumped(draw, content)
    return text[: draw(st.integers(0, len(text) - 1))]


def _shift_frames(draw, content):
    by = draw(st.sampled_from([-3, -2, -1, 1, 2, 3, 100, 10**9]))
    return {**content, "label": {str(int(f) + by): ids for f, ids in content["label"].items()}}


def _shift_identity(draw, content):
    frame = draw(st.sampled_from(sorted(content["label"])))
    others = [i for i in range(1, 12) if (int(frame), i) not in LABELLED] + [10**12]
    return {**content, "label": {**content["label"], frame: [draw(st.sampled_from(others))]}}


def _move_referent(draw, content):
    frame = draw(st.sampled_from(sorted(content["label"])))
    label = {k: v for k, v in content["label"].items() if k != frame}
    free = [f for f in range(world.FRAMES) if all((f, i) not in LABELLED for i in content["label"][frame])]
    target = str(draw(st.sampled_from(free)))
    label[target] = label.get(target, []) + content["label"][frame]
    return {**content, "label": label}


def break_encoding(draw, data):
    at = draw(st.integers(0, len(data)))
    bad = bytes([draw(st.integers(0x80, 0xFF))])
    kind = draw(st.sampled_from(["insert", "replace", "utf-16", "nul"]))
    if kind == "utf-16":
        return data.decode().encode("utf-16")
    if kind == "nul":
        return data[:at] + b"\0" + data[at:]
    return data[:at] + bad + data[at + (kind == "replace") :]


HARMFUL_EXPRESSION = [
    _drop_required,
    lambda draw, content: {**content, "sentence": draw(NO_TEXT)},
    lambda draw, content: {**content, "label": draw(NO_LABEL)},
    lambda draw, content: {**content, "tags": draw(st.sampled_from(["x", [3], {}, None, 1]))},
    lambda draw, content: {**content, "video_name": draw(st.sampled_from(["0002", "1", 1, None, []]))},
    lambda draw, content: {**content, "ignore": draw(st.sampled_from([[1], {"0": [1]}, None, "x"]))},
    lambda draw, content: {**content, "sentence": content["sentence"] + draw(st.sampled_from([" left", "s", "."]))},
    lambda draw, content: [content],
    _retype_ids,
    _retype_frame,
    _duplicate_key,
    _duplicate_frame,
    _truncate,
    _shift_frames,
    _shift_identity,
    _move_referent,
    lambda draw, content: break_encoding(draw, json.dumps(content).encode()),
    lambda draw, content: json.dumps(content).replace("[0", "[NaN", 1) if "[0" in json.dumps(content) else "NaN",
    lambda draw, content: json.dumps(content) + draw(st.sampled_from(["}", "{}", ",", "x"])),
    lambda draw, content: json.dumps(content).replace('"', "'"),
]

# --- rows of numbers --------------------------------------------------------------------------------------------------


def reformatted(draw, field):
    """The same number written otherwise."""
    value = float(field)
    forms = [field, field, f"{value:.9f}", f"{value!r}", f"{value:+.9f}", f"{value:.12e}", f"0{field}" if value >= 0 else field]
    return draw(st.sampled_from(forms))


def joined(draw, rows, separator):
    """Rows as text, with the white space that does not matter."""
    lines = []
    for row in rows:
        if draw(st.integers(0, 5)) == 0:
            lines.append(draw(st.sampled_from(["", "  ", "\t"])))
        if separator == ",":
            lines.append(",".join(draw(st.sampled_from(["", "", " "])) + field for field in row))
        else:
            gap = draw(st.sampled_from([" ", "  ", "\t"]))
            lines.append(draw(st.sampled_from(["", " "])) + gap.join(row) + draw(st.sampled_from(["", " "])))
    return encoded(draw, "".join(line + "\n" for line in lines))


def label_rows(frame):
    rows = [r for r in world.ROWS if r[0] == frame]
    return [[str(world.CLASSES.index(r[6])), str(r[1]), *(f"{v:.6f}" for v in world.fractions(r))] for r in rows]


LABELLED_FRAMES = sorted({frame for frame, *_ in world.ROWS})


def label_path(frame):
    return f"KITTI/labels_with_ids/image_02/{world.NAME}/{frame:06d}.txt"


@st.composite
def harmless_labels(draw):
    frame = draw(st.sampled_from(LABELLED_FRAMES))
    rows = draw(st.permutations(label_rows(frame)))
    return label_path(frame), joined(draw, [[reformatted(draw, f) for f in row] for row in rows], " ")


NO_NUMBER = st.sampled_from(["", "x", "car", "1_0", "0x1", "１", "1,5", "--1", "None", "1e", "0.1.2"])
NOT_FINITE = st.sampled_from(["nan", "NaN", "inf", "-inf", "1e999"])


def damaged_row(draw, row, bad_values):
    """One row with one field dropped, doubled, retyped or out of range."""
    at = draw(st.integers(0, len(row) - 1))
    kind = draw(st.sampled_from(["drop", "double", "retype", "not finite", "range"]))
    if kind == "drop":
        return row[:at] + row[at + 1 :]
    if kind == "double":
        return row[:at] + row[at : at + 1] + row[at:]
    if kind == "retype":
        value = draw(NO_NUMBER)
        return row[:at] + ([value] if value else []) + row[at + 1 :]
    if kind == "not finite":
        return [*row[:at], draw(NOT_FINITE), *row[at + 1 :]]
    at = draw(st.sampled_from(sorted(bad_values)))
    return [*row[:at], draw(st.sampled_from(bad_values[at])), *row[at + 1 :]]


BAD_LABELS = {
    0: ["-1", "1.5", "7", "99999999"],
    1: ["-1", "0.5", "1e300", "11", "4"],
    2: ["120.5", "-30"],
    4: ["0", "-0.1", "40"],
    5: ["0.0", "-1e-9", "50"],
}


@st.composite
def harmful_labels(draw):
    frame = draw(st.sampled_from(LABELLED_FRAMES))
    rows = label_rows(frame)
    k = draw(st.integers(0, len(rows) - 1))
    text = "".join(" ".join(row) + "\n" for row in rows)
    kind = draw(st.sampled_from(["field", "field", "field", "row", "swap", "truncate", "frame", "lost", "encoding", "comma"]))
    if kind == "field":
        rows[k] = damaged_row(draw, rows[k], BAD_LABELS)
        return label_path(frame), joined(draw, rows, " ")
    if kind == "row":  # a row of the same identity again, equal or not
        again = [rows[k][0], rows[k][1], *(reformatted(draw, f) for f in rows[k][2:])]
        return label_path(frame), joined(draw, [*rows, again], " ")
    if kind == "swap":  # class or identity change places with a fraction, or with each other
        one, two = draw(st.sampled_from([(0, 1), (0, 2), (1, 4), (1, 5), (0, 5)]))
        rows[k][one], rows[k][two] = rows[k][two], rows[k][one]
        return label_path(frame), joined(draw, rows, " ")
    if kind == "truncate":  # somewhere inside the last row, its line end included
        return label_path(frame), text[: -draw(st.integers(1, len(text.splitlines()[-1])))].encode()
    if kind == "frame":  # the rows are another frame's
        other = draw(st.sampled_from([f for f in range(world.FRAMES) if f != frame]))
        others = [row for row in label_rows(other) if row[1] not in {r[1] for r in rows}]
        return label_path(frame), joined(draw, others, " ")
    if kind == "lost":
        return label_path(frame), joined(draw, rows[:k] + rows[k + 1 :], " ")
    if kind == "comma":
        return label_path(frame), text.replace(" ", ",").encode()
    return label_path(frame), break_encoding(draw, text.encode())


TRACKER = f"tracks/{world.NAME}.txt"


def tracker_rows():
    return [
        [str(f + 1), str(i), f"{x:.2f}", f"{y:.2f}", f"{w:.2f}", f"{h:.2f}", "0.75", "1", "1"]
        for f, i, x, y, w, h, _ in world.ROWS
    ]


@st.composite
def harmless_tracks(draw):
    rows = [[reformatted(draw, f) for f in row[:7]] + row[7:] for row in draw(st.permutations(tracker_rows()))]
    columns = draw(st.sampled_from([7, 8, 9, 10]))
    rows = [[*row, "-1"][:columns] for row in rows]
    path, data = TRACKER, joined(draw, rows, draw(st.sampled_from([",", ",", " "])))
    if b"," in data:
        if draw(st.integers(0, 3)) == 0:  # a separator after the last field, too
            data = b"".join(line.rstrip() + (b",\n" if line.strip() else b"\n") for line in data.splitlines())
        data = data.replace(b",", draw(st.sampled_from([b",", b";"])))
    head = draw(st.sampled_from([b"", b"# frames from 1\n", b"frame,id,bb_left,bb_top,bb_width,bb_height,conf,a,b\n"]))
    separator = next((s for s in (b";", b",") if s in data), b" ")
    return path, data if data.startswith(b"\xef") else head.replace(b",", separator) + data


BAD_TRACKS = {
    0: ["0", "-3", "1.5", "7", "1000", "1e300"],
    1: ["-1", "-2", "0.5", "1e300"],
    4: ["0", "-5", "0.0"],
    5: ["0", "-0.01"],
}


@st.composite
def harmful_tracks(draw):
    rows = tracker_rows()
    k = draw(st.integers(0, len(rows) - 1))
    text = "".join(",".join(row) + "\n" for row in rows)
    kind = draw(st.sampled_from(["field", "field", "field", "row", "swap", "truncate", "encoding", "separator"]))
    if kind == "field":
        rows[k] = damaged_row(draw, rows[k][:7], BAD_TRACKS) + rows[k][7:]
        return TRACKER, "".join(",".join(row) + "\n" for row in rows).encode()
    if kind == "row":
        return TRACKER, joined(draw, [*rows, rows[k]], ",")
    if kind == "swap":  # the frame and the width or height, or the identity and the confidence
        one, two = draw(st.sampled_from([(0, 4), (0, 5), (1, 6)]))
        rows[k][one], rows[k][two] = rows[k][two], rows[k][one]
        return TRACKER, joined(draw, rows, ",")
    if kind == "truncate":
        return TRACKER, text[: -draw(st.integers(1, len(text.splitlines()[-1])))].encode()
    if kind == "separator":
        return TRACKER, text.replace(",", draw(st.sampled_from(["|", ".", ":"]))).encode()
    return TRACKER, break_encoding(draw, text.encode())
