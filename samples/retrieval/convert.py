#!/usr/bin/env python3
"""Turns public data into the sets that `just eval-retrieval` reads; examples/eval-retrieval.rs has their format.

It downloads nothing: the data of others is not part of memgate, and each has its own licence (docs/retrieval.md).
"""

import argparse
import json
import re
import sys
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent.parent


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def xquad(arguments):
    """Each paragraph is a memory, and each article a conversation."""
    for path in arguments.files:
        language = path.stem.removeprefix("xquad.")
        memories, questions = [], []
        for article in read(path)["data"]:
            for paragraph in article["paragraphs"]:
                memory = str(len(memories))
                memories.append({"id": memory, "session": article["title"], "content": paragraph["context"]})
                for asked in paragraph["qas"]:
                    questions.append({"question": asked["question"], "evidence": [memory]})
        kind = "documents" if language == "en" else "languages"
        write(arguments.into, f"xquad-{language}", kind, [("xquad", memories, questions)])


def qmsum(arguments):
    """Each turn is a memory, and each meeting a conversation, all in one space. The turns that the authors marked are the evidence."""
    memories, questions = [], []
    for path in sorted(arguments.folder.glob("*.json")):
        meeting = read(path)
        turns = {}
        for place, turn in enumerate(meeting["meeting_transcripts"]):
            # Some turns are empty.
            if turn["content"].strip():
                turns[place] = f"{path.stem}:{place}"
                memories.append(
                    {"id": turns[place], "session": path.stem, "speaker": turn["speaker"], "content": turn["content"]}
                )
        for asked in meeting["specific_query_list"]:
            places = {place for first, last in asked["relevant_text_span"] for place in range(int(first), int(last) + 1)}
            evidence = [turns[place] for place in sorted(places) if place in turns]
            questions.append({"question": asked["query"], "evidence": evidence})
    write(arguments.into, "qmsum", "meetings", [("qmsum", memories, questions)])


# Their questions have no answer in the conversation.
ADVERSARIAL = 5


def locomo(arguments):
    """Each turn is a memory. Questions without an answer or without evidence are left out."""
    conversations = []
    for sample in read(arguments.file):
        name = sample["sample_id"].removeprefix("conv-")
        if name not in arguments.conversations:
            continue
        said = sample["conversation"]
        memories = []
        for session in sorted((key for key in said if re.fullmatch(r"session_\d+", key)), key=lambda key: int(key[8:])):
            for turn in said[session]:
                memory = {
                    "id": turn["dia_id"],
                    "session": session,
                    "said_at": said[f"{session}_date_time"],
                    "speaker": turn["speaker"],
                    "content": turn["text"],
                }
                if "blip_caption" in turn:
                    memory["image_caption"] = turn["blip_caption"]
                memories.append(memory)
        ids = {memory["id"] for memory in memories}
        questions = []
        for asked in sample["qa"]:
            evidence = re.findall(r"D\d+:\d+", " ".join(asked["evidence"]))
            evidence = [turn for turn in dict.fromkeys(evidence) if turn in ids]
            if evidence and asked["category"] != ADVERSARIAL:
                questions.append({"question": asked["question"], "evidence": evidence})
        conversations.append((name, memories, questions))
    write(arguments.into, "locomo", "people", conversations)


def samples(arguments):
    """From what is in this repository: the chats with and without the assistant's words, and the sample memories."""
    chats = [
        (chat["conversation"], chat["memories"], chat["questions"])
        for chat in read(SAMPLES / "retrieval/assistant-chats.json")["conversations"]
    ]
    write(arguments.into, "assistant-chats", "assistant", chats)
    by_user = [
        (name, [turn for turn in memories if turn["speaker"] == "user"], questions) for name, memories, questions in chats
    ]
    write(arguments.into, "assistant-chats-user", "assistant", by_user)
    lines = (SAMPLES / "memories.jsonl").read_text(encoding="utf-8").splitlines()
    memories = [
        {"id": str(place), "content": memory["content"], "categories": memory["categories"]}
        for place, memory in enumerate(map(json.loads, lines))
    ]
    questions = [
        {
            "question": asked["question"],
            "evidence": [memory["id"] for memory in memories if asked["expect"] in memory["content"]],
        }
        for asked in read(SAMPLES / "questions.json")
    ]
    write(arguments.into, "sample-memories", "notes", [("samples", memories, questions)])


def write(folder, name, kind, conversations):
    if not any(questions for _, _, questions in conversations):
        sys.exit(f"convert.py: {name}: there is no question in what was given")
    entries = [
        {"conversation": conversation, "memories": memories, "questions": questions}
        for conversation, memories, questions in conversations
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"kind": kind, "conversations": entries}, ensure_ascii=False), encoding="utf-8")
    memories = sum(len(entry["memories"]) for entry in entries)
    questions = sum(len(entry["questions"]) for entry in entries)
    print(f"{path}: {memories} memories, {questions} questions")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")

    def source(convert, text):
        command = sources.add_parser(convert.__name__, help=text, description=f"{text}. {convert.__doc__}")
        command.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="where the sets are written")
        command.set_defaults(convert=convert)
        return command

    command = source(xquad, "xquad.LANGUAGE.json of github.com/google-deepmind/xquad; one set per file")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE")
    command = source(qmsum, "a folder of meetings of github.com/Yale-LILY/QMSum, such as data/ALL/test")
    command.add_argument("folder", type=Path, metavar="MEETINGS")
    command = source(locomo, "locomo10.json of github.com/snap-research/locomo")
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--conversations", nargs="+", default=["26", "30", "41"], metavar="NUMBER", help="default: 26 30 41")
    source(samples, "the samples beside this program")
    arguments = parser.parse_args()
    try:
        arguments.convert(arguments)
    except (OSError, ValueError) as error:
        sys.exit(f"convert.py: {error}")
    except (AttributeError, KeyError, TypeError) as error:
        sys.exit(f"convert.py: this is not the {arguments.source} data that --help describes: {error!r}")


if __name__ == "__main__":
    main()
