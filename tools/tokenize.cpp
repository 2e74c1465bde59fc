// lethe tokenize TOKENIZER: text to token ids and back.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "data/tokenizer.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/run/model_tokenizer.h"

namespace lethe {
namespace {

using nlohmann::json;

struct TokenizeArguments {
  std::string tokenizer;
  std::vector<std::string> files;
  bool decode = false, count = false, pieces = false, as_json = false, lines = false, special = false;
  EncodeOptions encode;
};

void add_options(CLI::App& app, TokenizeArguments& a) {
  app.add_option("TOKENIZER", a.tokenizer,
                 "tokenizer.json, tokenizer.model, a folder that holds one, or OWNER/NAME at the hub")
      ->required();
  app.add_option("FILE", a.files, "texts, each by itself; standard input if left out");
  auto* decode = app.add_flag("--decode", a.decode, "the input is ids, the output text");
  auto* count = app.add_flag("--count", a.count, "print how many tokens there are")->excludes(decode);
  app.add_flag("--pieces", a.pieces, "print each id with its piece")->excludes(decode)->excludes(count);
  app.add_flag("--special,!--no-special", a.special,
               "special tokens written in the text are parsed, or shown in decoding (default: plain text, "
               "silent)");
  app.add_flag("--add-special", a.encode.add_special_tokens,
               "put around the text what the tokenizer itself does (BOS, EOS)")
      ->excludes(decode);
  app.add_flag("--drop-unknown", a.encode.drop_unknown,
               "leave out characters that the vocabulary cannot express")
      ->excludes(decode);
  app.add_flag("--json", a.as_json, "print ids, pieces, count or text as JSON");
  app.add_flag("--json-lines", a.lines,
               "each line of input is a JSON string (with --decode, a list of ids); as JSON");
}

std::string read(std::istream& in, const std::string& name) {
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) throw IoError(name, "cannot be read");
  return text;
}

std::vector<std::string> inputs_of(const TokenizeArguments& a) {
  if (a.files.empty()) return {read(std::cin, "standard input")};
  std::vector<std::string> texts;
  for (const std::string& path : a.files) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw DataError(path + ": no such file, or it cannot be read");
    texts.push_back(read(file, path));
  }
  return texts;
}

// Numbers with anything but digits between them.
std::vector<int32_t> ids_in(const std::string& text) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < text.size();) {
    const size_t end = text.find_first_not_of("-0123456789", i);
    const std::string number = text.substr(i, end == text.npos ? end : end - i);
    if (number.empty()) {
      if (std::string(" \t\r\n,[]").find(text[i]) == std::string::npos)
        throw UsageError(fmt::format("ids are numbers, found \"{}\"", text[i]));
      ++i;
      continue;
    }
    try {
      ids.push_back(std::stoi(number));
    } catch (const std::exception&) {
      throw UsageError(fmt::format("\"{}\" is no token id", number));
    }
    i += number.size();
  }
  return ids;
}

json result_of(const TokenizeArguments& a, const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  if (a.decode) return tokenizer.decode(ids, !a.special);
  if (a.count) return ids.size();
  if (!a.pieces) return ids;
  json list = json::array();
  for (const int32_t id : ids) list.push_back({{"id", id}, {"piece", tokenizer.piece(id)}});
  return list;
}

std::string text_of(const TokenizeArguments& a, const json& result) {
  if (a.as_json || a.lines) return result.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (a.decode) return result.get<std::string>();
  if (!a.pieces)
    return result.is_array() ? fmt::format("{}\n", fmt::join(result.get<std::vector<int32_t>>(), " "))
                             : result.dump() + "\n";
  std::string text;
  for (const json& piece : result)
    text += fmt::format("{}\t{}\n", piece["id"].get<int32_t>(), piece["piece"].get<std::string>());
  return text;
}

// Line by line on all cores, printed in order.
void tokenize_lines(const TokenizeArguments& a, const Tokenizer& tokenizer, const std::string& input) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < input.size();) {
    const size_t end = std::min(input.find('\n', begin), input.size());
    if (end > begin) lines.push_back(input.substr(begin, end - begin));
    begin = end + 1;
  }
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 16)
  for (int64_t i = 0; i < std::ssize(lines); ++i) {
    try {
      const json line = json::parse(lines[i]);
      lines[i] =
          text_of(a, result_of(a, tokenizer,
                               a.decode ? line.get<std::vector<int32_t>>()
                                        : tokenizer.encode(line.get_ref<const std::string&>(), a.encode)));
    } catch (const json::exception& error) {
#pragma omp critical(lethe_tokenize_failure)
      failure = std::make_exception_ptr(DataError(fmt::format("line {}: {}", i + 1, error.what())));
    } catch (...) {
#pragma omp critical(lethe_tokenize_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
  for (const std::string& line : lines) std::cout << line;
}

}  // namespace

int tokenize_command(const std::vector<std::string>& arguments) {
  CLI::App app("Turns text into token ids, or back.", "lethe tokenize");
  TokenizeArguments a;
  add_options(app, a);
  parse(app, arguments);
  a.encode.parse_special = a.special;
  const std::vector<std::string> inputs = inputs_of(a);
  const std::unique_ptr<Tokenizer> tokenizer = open_model_tokenizer(a.tokenizer);
  for (const std::string& input : inputs) {
    if (a.lines) {
      tokenize_lines(a, *tokenizer, input);
    } else {
      const auto ids = a.decode ? ids_in(input) : tokenizer->encode(input, a.encode);
      std::cout << text_of(a, result_of(a, *tokenizer, ids));
    }
  }
  return 0;
}

}  // namespace lethe
