#include "data/parquet.h"

#include <fmt/format.h>
#include <parquet/api/reader.h>
#include <utf8.h>

#include <array>
#include <vector>

#include "engine/error.h"

namespace lethe {
namespace {

// The place of a column of plain texts.
int column_of(const parquet::SchemaDescriptor& schema, const std::string& path, const std::string& name) {
  const int index = schema.ColumnIndex(name);
  if (index < 0) {
    std::string names;
    for (int i = 0; i < schema.num_columns(); ++i) names += (i > 0 ? ", " : "") + schema.Column(i)->name();
    throw FormatError(path, name, "no such column; there are " + names);
  }
  const parquet::ColumnDescriptor& column = *schema.Column(index);
  if (column.physical_type() != parquet::Type::BYTE_ARRAY || column.max_repetition_level() > 0 ||
      column.max_definition_level() > 1) {
    throw FormatError(path, name,
                      "a column of texts expected, found " + parquet::TypeToString(column.physical_type()));
  }
  return index;
}

}  // namespace

void visit_parquet(const std::string& path, const std::string& column,
                   const std::function<void(std::string&&, int64_t)>& visitor) {
  try {
    const auto file = parquet::ParquetFileReader::OpenFile(path, /*memory_map=*/false);
    const auto metadata = file->metadata();
    const int index = column_of(*metadata->schema(), path, column);
    const bool may_be_null = metadata->schema()->Column(index)->max_definition_level() > 0;
    int64_t row = 0;
    for (int group = 0; group < metadata->num_row_groups(); ++group) {
      const auto reader = file->RowGroup(group)->Column(index);
      auto& texts = dynamic_cast<parquet::ByteArrayReader&>(*reader);
      while (texts.HasNext()) {
        std::array<int16_t, 256> levels{};
        std::array<parquet::ByteArray, 256> values;  // of those that are not null, close together
        int64_t filled = 0, next = 0;
        const int64_t rows =
            texts.ReadBatch(std::ssize(values), levels.data(), nullptr, values.data(), &filled);
        for (int64_t i = 0; i < rows; ++i) {
          ++row;
          if (may_be_null && levels[i] == 0)
            throw FormatError(path, fmt::format("row {}", row), column + " is null");
          const parquet::ByteArray& value = values[next++];
          std::string text(reinterpret_cast<const char*>(value.ptr), value.len);
          if (!utf8::is_valid(text.begin(), text.end())) {
            throw FormatError(path, fmt::format("row {}", row), column + " is not valid UTF-8");
          }
          visitor(std::move(text), row);
        }
      }
    }
  } catch (const parquet::ParquetException& error) {
    throw FormatError(path, "", fmt::format("not read as Parquet: {}", error.what()));
  }
}

}  // namespace lethe
