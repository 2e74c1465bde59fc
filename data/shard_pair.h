// The shards of one text while they are made: those that are there already, or two writers.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat_encoder.h"
#include "data/shard_writer.h"
#include "data/shards.h"

namespace lethe {

class ShardPair {
 public:
  // What DIRECTORY holds under header.key, whole and undamaged, or nothing.
  static std::optional<ShardSet> find(const std::string& directory, const std::string& key, bool splits);

  // Throws ConfigError (held_out outside [0, 1)), IoError.
  ShardPair(const std::string& directory, const ShardHeader& header, const ShardOptions& options);

  // Appends to the side that `identity`, the document's own text, decides.
  void append(std::string_view identity, const EncodedDocument& document);
  // Example that was left out or shortened; counted on the side of training.
  ShardHeader& counts() { return train_.header(); }
  // Gives both files their names. Throws DataError where a side has no document, IoError.
  ShardSet commit();

 private:
  ShardOptions options_;
  std::string train_path_, held_out_path_;
  ShardWriter train_;
  std::optional<ShardWriter> held_out_;
};

// Items gathered until there is enough for all cores, encoded together, taken in order: what comes out, an
// error too, does not depend on how many cores there are.
template <class Item>
class ParallelEncoder {
 public:
  using Encode = std::function<EncodedDocument(const Item&)>;
  using Take = std::function<void(const Item&, EncodedDocument&&)>;
  ParallelEncoder(Encode encode, Take take) : encode_(std::move(encode)), take_(std::move(take)) {}

  void add(Item item, size_t bytes) {
    waiting_bytes_ += bytes;
    items_.push_back(std::move(item));
    if (waiting_bytes_ >= batch_bytes) flush();
  }

  void flush() {
    const auto count = static_cast<int64_t>(items_.size());
    std::vector<EncodedDocument> made(items_.size());
    std::vector<std::exception_ptr> failures(items_.size());
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < count; ++i) {
      try {
        made[i] = encode_(items_[i]);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      if (failures[i]) std::rethrow_exception(failures[i]);
      take_(items_[i], std::move(made[i]));
    }
    items_.clear();
    waiting_bytes_ = 0;
  }

 private:
  static constexpr size_t batch_bytes = size_t{4} << 20;

  Encode encode_;
  Take take_;
  std::vector<Item> items_;
  size_t waiting_bytes_ = 0;
};

}  // namespace lethe
