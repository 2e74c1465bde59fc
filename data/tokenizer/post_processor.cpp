#include "data/tokenizer/post_processor.h"

#include <fmt/format.h>

namespace lethe {
namespace {

void add_template(const JsonPlace& place, SpecialFrame& frame) {
  const JsonPlace tokens = place.at("special_tokens");
  std::vector<int32_t> before, after;
  bool text = false;
  for (const JsonPlace& item : place.at("single").elements()) {
    if (const auto sequence = item.find("Sequence")) {
      if (text || sequence->at("id").string() != "A") item.refuse("the template must hold the text A once");
      text = true;
      continue;
    }
    const std::string& name = item.at("SpecialToken").at("id").string();
    const auto token = tokens.find(name);
    if (!token) item.refuse(fmt::format("\"{}\" is not among special_tokens", name));
    for (const JsonPlace& id : token->at("ids").elements()) {
      (text ? after : before).push_back(static_cast<int32_t>(id.integer(0, largest_token_id)));
    }
  }
  if (!text) place.at("single").refuse("the template does not hold the text A");
  // Each member of a sequence frames what the ones before it made.
  frame.before.insert(frame.before.begin(), before.begin(), before.end());
  frame.after.insert(frame.after.end(), after.begin(), after.end());
}

void add(const JsonPlace& place, SpecialFrame& frame) {
  const std::string type = place.at("type").string();
  if (type == "TemplateProcessing") return add_template(place, frame);
  if (type == "ByteLevel") return;  // moves offsets, which nobody here asks for
  if (type == "Sequence") {
    for (const JsonPlace& step : place.at("processors").elements()) add(step, frame);
    return;
  }
  place.at("type").refuse(fmt::format("the post-processor {} is not implemented", type));
}

}  // namespace

SpecialFrame make_special_frame(const JsonPlace& place) {
  SpecialFrame frame;
  if (!place.is_null()) add(place, frame);
  return frame;
}

}  // namespace lethe
