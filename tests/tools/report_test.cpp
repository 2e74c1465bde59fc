#include "tools/report/report.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/error.h"
#include "tests/tools/results_sample.h"
#include "tools/report/png.h"
#include "tools/report/results.h"

namespace lethe::report {
namespace {

namespace fs = std::filesystem;

std::string unique(const std::string& name) {
  static int count = 0;
  return testing::TempDir() + name + "_" + std::to_string(getpid()) + "_" + std::to_string(++count);
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string written(const std::string& text) {
  const std::string path = unique("lines") + ".jsonl";
  std::ofstream(path) << text;
  return path;
}

// Every tag is closed in order; attributes are quoted. The elements that HTML leaves open are named.
std::string unbalanced(const std::string& text) {
  std::vector<std::string> open;
  for (size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
    if (text[at + 1] == '!' || text[at + 1] == '?') {
      at = text.find('>', at);
      continue;
    }
    size_t end = at + 1;
    for (bool quoted = false; end < text.size() && (quoted || text[end] != '>'); ++end)
      quoted ^= text[end] == '"';
    if (end == text.size()) return "a tag without an end at " + std::to_string(at);
    const std::string tag = text.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /\n", 1));
    if (tag[0] == '/') {
      if (open.empty() || "/" + open.back() != tag) return tag + " at " + std::to_string(at);
      open.pop_back();
    } else if (tag.back() != '/' && name != "meta") {
      open.push_back(name);
    }
    at = end;
  }
  return open.empty() ? "" : open.back() + " is never closed";
}

void expect_refused(const std::string& text, const std::string& where, const std::string& words) {
  const std::string path = written(text);
  try {
    read_results(path);
    FAIL() << "went through: " << text;
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file, path);
    EXPECT_EQ(error.where, where);
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST(Results, AreReadInFull) {
  const Results results = read_results(sample_file(usual_sample()));
  EXPECT_EQ(results.study.model.parameters, 1'376'384);
  EXPECT_EQ(results.study.target.name, "Python code");
  EXPECT_DOUBLE_EQ(results.study.code_fraction, 0.05);
  EXPECT_EQ(results.runs.size(), 4u);
  EXPECT_EQ(results.points.size(), 5u * 12 * 2);
  EXPECT_EQ(results.spectra.size(), 4u * 28);
  EXPECT_EQ(results.runs[1].rank, 4);
  EXPECT_EQ(results.runs[0].rank, 0);
}

TEST(Results, WrongLinesAreRefusedByNumberAndKey) {
  Sample sample = usual_sample();
  sample.runs.clear();
  sample.base = false;
  const std::string study = sample_text(sample);
  expect_refused("", "", "no line of kind \"study\"");
  expect_refused(study + study, "line 2", "a second line of kind");
  expect_refused(study + "{\"kind\":\"banana\"}\n", "line 2", "\"kind\" must be study, run");
  expect_refused(study + "{}\n", "line 2", "key \"kind\" is missing");
  expect_refused(study + "[1]\n", "line 2", "not a JSON object");
  expect_refused(study + "\n{\"kind\":\n", "line 3", "parse error");
  expect_refused(study + "{\"kind\":\"point\",\"domain\":\"source\",\"run\":\"x\",\"step\":1.5}\n", "line 2",
                 "\"step\" must be an integer");
  expect_refused(study + "{\"kind\":\"point\",\"domain\":\"source\",\"run\":\"x\",\"step\":1}\n", "line 2",
                 "\"tokens\" is missing");
  expect_refused(study + "{\"kind\":\"point\",\"domain\":\"moon\"}\n", "line 2",
                 "\"domain\" must be source or target");
  expect_refused(
      study +
          "{\"kind\":\"point\",\"domain\":\"source\",\"run\":\"x\",\"step\":1,\"tokens\":1,\"loss\":1,"
          "\"accuracy\":1,\"standard_error\":1}\n",
      "line 2", "no line of kind \"run\" for \"x\"");
  std::string no_licence = study;
  no_licence.replace(no_licence.find("\"licence\""), 9, "\"license\"");
  expect_refused(no_licence, "line 1: key \"source\"", "key \"licence\" is missing");
  EXPECT_THROW(read_results("/nowhere/results.jsonl"), IoError);
}

TEST(Report, PageAndFiguresAreWellFormedWhateverWasMeasured) {
  Sample diverged = usual_sample();
  diverged.runs[0].nan_from = 0;
  diverged.runs[1].nan_from = 4;
  diverged.base = false;
  Sample single = usual_sample();
  single.runs.resize(1);
  single.points = 1;
  single.spectra = single.sweep = false;
  Sample empty = single;
  empty.runs.clear();
  for (const Sample& sample : {usual_sample(), diverged, single, empty}) {
    const std::string folder = unique("report");
    write_report(sample_file(sample), folder);
    EXPECT_EQ(unbalanced(read(folder + "/report.html")), "");
    for (const auto& entry : fs::directory_iterator(folder + "/figures")) {
      if (entry.path().extension() != ".svg") continue;
      EXPECT_EQ(unbalanced(read(entry.path())), "") << entry.path();
    }
  }
}

TEST(Report, PageNeedsNothingElseAndSaysAllItMust) {
  const std::string folder = unique("report");
  write_report(sample_file(usual_sample()), folder);
  const std::string page = read(folder + "/report.html");
  for (const char* outside : {"http:", "https:", "src=", "@import", "url(", "<link"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  for (const char* words :
       {"agrees with “LoRA learns less and forgets less”", "PSF-2.0", "GFDL-1.3 &amp; others",
        "&lt;sources&gt;", "./lethe study --output &quot;runs/mini&quot;", "prefers-color-scheme:dark",
        "6.410", "5.870", "One seed", "21,346", "1,376,384", "2e-3", "7 min 11 s"}) {
    EXPECT_NE(page.find(words), std::string::npos) << words;
  }
}

TEST(Report, FiguresAloneCarryTheirOwnColours) {
  const std::string folder = unique("report");
  write_report(sample_file(usual_sample()), folder);
  const std::string svg = read(folder + "/figures/plane.svg");
  EXPECT_EQ(svg.find("var("), std::string::npos);
  EXPECT_NE(svg.find(".paper{fill:#ffffff}"), std::string::npos);
  if (std::system("command -v xmllint > /dev/null") != 0) GTEST_SKIP() << "xmllint is not installed";
  for (const auto& entry : fs::directory_iterator(folder + "/figures")) {
    if (entry.path().extension() != ".svg") continue;
    EXPECT_EQ(std::system(("xmllint --noout '" + entry.path().string() + "'").c_str()), 0) << entry.path();
  }
}

TEST(Report, NothingIsWrittenForAFileThatIsWrong) {
  const std::string folder = unique("report");
  EXPECT_THROW(write_report(written("{\"kind\":\"banana\"}\n"), folder), FormatError);
  EXPECT_FALSE(fs::exists(folder));
}

TEST(Png, AMissingProgramIsToldAndAFailedOneThrows) {
  const std::string svg = written("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"3\" height=\"2\"/>");
  EXPECT_FALSE(convert_to_png(svg, unique("out.png"), 2, "no-such-program-anywhere"));
  EXPECT_THROW(convert_to_png(svg, unique("out.png"), 2, "false"), RunError);
  const std::string png = unique("out.png");
  if (!convert_to_png(svg, png)) GTEST_SKIP() << "rsvg-convert is not installed";
  EXPECT_EQ(read(png).substr(1, 3), "PNG");
}

}  // namespace
}  // namespace lethe::report
