// `lethe tokenize` as the built command runs it, on a vocabulary of five pieces.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "tests/data/files.h"

namespace lethe {
namespace {

class TokenizeCommand : public testing::Test {
 protected:
  void SetUp() override {
    folder_.write("t/tokenizer.json", R"({"added_tokens": [{"id": 3, "content": "<s>", "special": true}],
      "post_processor": {"type": "TemplateProcessing", "special_tokens": {"<s>": {"ids": [3]}},
        "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]},
      "decoder": {"type": "Fuse"},
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<": 4, "s": 5, ">": 6, "\n": 7},
                "merges": ["a b"]}})");
  }
  // Standard output; the status and standard error are kept.
  std::string run(const std::string& input, const std::string& arguments) {
    const std::string in = folder_.write("in", input);
    const std::string command = std::string("'" LETHE_COMMAND "' tokenize '") + (folder_ / "t") + "' " +
                                arguments + " <'" + in + "' >'" + (folder_ / "out") + "' 2>'" +
                                (folder_ / "err") + "'";
    const int status = std::system(command.c_str());
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    err_ = read_bytes(folder_ / "err");
    return read_bytes(folder_ / "out");
  }

  Folder folder_;
  int status_ = -1;
  std::string err_;
};

TEST_F(TokenizeCommand, EncodesAndDecodes) {
  EXPECT_EQ(run("abba", ""), "2 1 0\n");
  EXPECT_EQ(run("ab<s>", "--special"), "2 3\n");
  EXPECT_EQ(run("ab<s>", "--no-special"), "2 4 5 6\n");
  EXPECT_EQ(run("ab", "--add-special"), "3 2\n");
  EXPECT_EQ(run("abba", "--count"), "3\n");
  EXPECT_EQ(run("ab\n", "--pieces"), "2\tab\n7\t\n\n");
  EXPECT_EQ(run("abba", "--json"), "[2,1,0]\n");
  EXPECT_EQ(run("ab", "--json --pieces"), "[{\"id\":2,\"piece\":\"ab\"}]\n");
  EXPECT_EQ(run("3 2 1\n", "--decode"), "abb");
  EXPECT_EQ(run("[3,2]", "--decode --special"), "<s>ab");
  EXPECT_EQ(run("\"ab\"\n\"ba\\n\"\n", "--json-lines"), "[2]\n[1,0,7]\n");
  EXPECT_EQ(run("[2]\n[1,0]\n", "--json-lines --decode"), "\"ab\"\n\"ba\"\n");
  EXPECT_EQ(run("azb", "--drop-unknown"), "2\n");
  EXPECT_EQ(status_, 0);
  const std::string first = folder_.write("1.txt", "a"), second = folder_.write("2.txt", "b");
  EXPECT_EQ(run("", "'" + first + "' '" + second + "'"), "0\n1\n");
}

TEST_F(TokenizeCommand, RefusesWhatItCannotDo) {
  const std::pair<std::string, std::pair<std::string, std::string>> requests[] = {
      {"azb", {"", "z"}},
      {"\xff", {"", "UTF-8"}},
      {"x", {"--decode", "x"}},
      {"99", {"--decode", "99"}},
      {"", {"none.txt", "none.txt"}},
      {"a\n", {"--json-lines", "line 1"}},
      {"", {"--decode --count", ""}},
      {"99999999999999", {"--decode", "99999999999999"}}};
  for (const auto& [input, request] : requests) {
    EXPECT_EQ(run(input, request.first), "") << input;
    EXPECT_EQ(status_, 2) << input;
    EXPECT_NE(err_.find(request.second), std::string::npos) << err_;
  }
}

}  // namespace
}  // namespace lethe
