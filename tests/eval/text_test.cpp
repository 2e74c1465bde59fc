// What needs no vectors from elsewhere: digests, white space, and documents that are wrong.
#include <gtest/gtest.h>

#include "engine/error.h"
#include "tests/files.h"
#include "tools/digest.h"
#include "tools/eval/documents.h"
#include "tools/eval/few_shot.h"
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::test {
namespace {

using namespace eval;

// FIPS 180-4's examples, and a length on each side of a block's padding.
TEST(Digest, OfKnownTexts) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  Digest pieces;
  for (const char* piece : {"abcdbcdecdefdefgefghfghi", "", "ghijhijkijkljklmklmnlmnomnopnopq"})
    pieces.update(piece);
  EXPECT_EQ(pieces.hex(), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(PythonText, WhiteSpaceAndCapitals) {
  EXPECT_EQ(strip(" \t\x1c\u3000\u0085 a b\u00a0\n"), "a b");
  EXPECT_EQ(strip("\u200b"), "\u200b");  // no white space to Python
  EXPECT_EQ(rstrip(" \n"), "");
  EXPECT_EQ(code_points("\u00e9e\U0001F600"), 3);
  EXPECT_EQ(capitalize("hELLO wORLD"), "Hello world");
  EXPECT_EQ(replaced("a   b", "  ", " "), "a  b");
}

TEST(Documents, SayWhereTheyAreWrong) {
  const Folder folder;
  write_text(folder / "piqa_val.jsonl",
             "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 0}\n"
             "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 2}\n");
  const ChoiceTask task = piqa();
  const Documents documents = Documents::find({folder / "none", folder.path()}, task.files, task.name);
  EXPECT_EQ(task.example(documents.at(0)).shot(), "Question: g\nAnswer: a\n\n");
  expect_parts(message_of<FormatError>([&] { task.example(documents.at(1)); }),
               {"piqa_val.jsonl", "line 2", "label", "2"});
  expect_parts(message_of<DataError>([&] { Documents::find({folder.path()}, task.shot_files, "piqa"); }),
               {"piqa", "piqa_train.jsonl", folder.path()});
  expect_parts(message_of<DataError>([&] { draw_shots(task, documents, documents, 2); }),
               {"2 documents", "3"});
  write_text(folder / "list.jsonl", "[1]\n");
  EXPECT_THROW(Documents::read(folder / "list.jsonl"), FormatError);
}

// Its header, its letters, and examples of the document's own subject alone.
TEST(Mmlu, AsksBySubject) {
  const Folder folder;
  const auto line = [](const std::string& subject, const std::string& question, int answer) {
    return nlohmann::json{{"question", question},
                          {"subject", subject},
                          {"choices", {"w", "x", "y", "z"}},
                          {"answer", answer}}
               .dump() +
           "\n";
  };
  write_text(folder / "mmlu_test.jsonl", line("high_school_physics", " How? ", 2));
  write_text(folder / "mmlu_dev.jsonl", line("anatomy", "a", 0) + line("high_school_physics", "p", 1) +
                                            line("anatomy", "b", 0) + line("high_school_physics", "q", 3));
  const ChoiceTask task = mmlu();
  const Documents documents = Documents::find({folder.path()}, task.files, "mmlu"),
                  pool = Documents::find({folder.path()}, task.shot_files, "mmlu");
  EXPECT_EQ(draw_shots(task, documents, pool, 2)[0], (std::vector<int64_t>{1, 3}));
  EXPECT_THROW(draw_shots(task, documents, pool, 3), DataError);
  const ChoiceExample made = task.example(documents.at(0));
  EXPECT_EQ(made.header,
            "The following are multiple choice questions (with answers) about high school physics.\n\n");
  EXPECT_EQ(made.contexts[0], "How?\nA. w\nB. x\nC. y\nD. z\nAnswer:");
  EXPECT_EQ(made.continuation(2), " C");
  EXPECT_EQ(made.gold, 2);
  EXPECT_EQ(task.example(pool.at(3)).shot(), "q\nA. w\nB. x\nC. y\nD. z\nAnswer: D\n\n");
}

}  // namespace
}  // namespace lethe::test
