#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/error.h"
#include "tools/metrics/crc32c.h"
#include "tools/metrics/metrics_log.h"
#include "tools/metrics/progress.h"
#include "tools/metrics/tensorboard.h"

namespace lethe {
namespace {

std::string unique(const std::string& name) {
  static int count = 0;
  return testing::TempDir() + name + "_" + std::to_string(getpid()) + "_" + std::to_string(++count);
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

template <class T>
T take(std::string_view& bytes) {
  T value{};
  if (bytes.size() < sizeof(T)) throw std::runtime_error("cut short");
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return value;
}

// A reader of protobuf's wire format written against its documentation, not against the writer.
uint64_t take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = take<uint8_t>(bytes);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

struct Scalar {
  std::string tag, file_version;
  float value = 0;
  int64_t step = 0;
  double wall_time = 0;
  bool session_start = false;
};

void decode(std::string_view message, Scalar& scalar, const std::string& path) {
  while (!message.empty()) {
    const uint64_t key = take_varint(message);
    const std::string field = path + "." + std::to_string(key >> 3);
    if ((key & 7) == 0) {
      const uint64_t value = take_varint(message);
      if (field == "event.2") scalar.step = static_cast<int64_t>(value);
      if (field == "event.7.1") scalar.session_start = value == 1;
    } else if ((key & 7) == 1) {
      scalar.wall_time = take<double>(message);
      EXPECT_EQ(field, "event.1");
    } else if ((key & 7) == 5) {
      scalar.value = take<float>(message);
      EXPECT_EQ(field, "event.5.1.2");
    } else {
      ASSERT_EQ(key & 7, 2u);
      const uint64_t length = take_varint(message);
      const std::string_view inner = message.substr(0, length);
      message.remove_prefix(length);
      if (field == "event.3") {
        scalar.file_version = inner;
      } else if (field == "event.5.1.1") {
        scalar.tag = inner;
      } else {
        decode(inner, scalar, field);
      }
    }
  }
}

std::vector<Scalar> events_of(const std::string& path) {
  const std::string text = read(path);
  std::string_view bytes = text;
  std::vector<Scalar> events;
  while (!bytes.empty()) {
    const std::string_view length_bytes = bytes.substr(0, 8);
    const auto length = take<uint64_t>(bytes);
    EXPECT_EQ(take<uint32_t>(bytes), masked_crc32c(length_bytes));
    const std::string_view data = bytes.substr(0, length);
    bytes.remove_prefix(length);
    EXPECT_EQ(take<uint32_t>(bytes), masked_crc32c(data));
    decode(data, events.emplace_back(), "event");
  }
  return events;
}

TEST(Crc32c, GivesThePublishedVectors) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu) << "RFC 3720, B.4";
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u) << "RFC 3720, B.4";
}

TEST(TensorBoard, EventsReadBackAsTheyWereWritten) {
  const std::string directory = unique("events") + "/deep";
  EventWriter writer(directory);
  writer.scalar("loss/train", 2.5, 1);
  writer.scalar("learning rate", 1e-4, 300'000'000'000);
  writer.flush();
  const std::vector<Scalar> events = events_of(writer.path());
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[1].tag, "loss/train");
  EXPECT_EQ(events[1].value, 2.5f);
  EXPECT_EQ(events[1].step, 1);
  EXPECT_GT(events[1].wall_time, 1.6e9);
  EXPECT_EQ(events[2].tag, "learning rate");
  EXPECT_EQ(events[2].step, 300'000'000'000);
}

TEST(TensorBoard, AResumedRunOpensAFileOfItsOwnAndPurgesLaterSteps) {
  const std::string directory = unique("events");
  const EventWriter first(directory);
  const EventWriter second(directory, 70);
  EXPECT_NE(first.path(), second.path());
  const std::vector<Scalar> events = events_of(second.path());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_TRUE(events[1].session_start);
  EXPECT_EQ(events[1].step, 70);
}

TEST(TensorBoard, APlaceThatCannotBeWrittenIsNamed) {
  const std::string file = unique("file");
  std::ofstream(file) << "x";
  EXPECT_THROW(EventWriter(file + "/inside"), IoError);
}

TEST(MetricsLog, LinesAreOnDiskAtOnceAndResumeKeepsWhatBelongs) {
  const std::string path = unique("metrics") + ".jsonl";
  {
    MetricsLog log = MetricsLog::create(path);
    log.append({{"kind", "start"}});
    for (int step = 1; step <= 5; ++step) log.append({{"step", step}, {"loss", 0.5 * step}});
    const std::string text = read(path);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
  }
  std::ofstream(path, std::ios::app) << "{\"step\":6,\"lo";  // killed while writing
  {
    MetricsLog log = MetricsLog::resume(path, 3);
    log.append({{"step", 4}, {"loss", 9}});
  }
  EXPECT_EQ(read(path),
            "{\"kind\":\"start\"}\n{\"loss\":0.5,\"step\":1}\n{\"loss\":1.0,\"step\":2}\n{\"loss\":1.5,"
            "\"step\":3}\n"
            "{\"loss\":9,\"step\":4}\n");
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST(MetricsLog, AMissingFileIsEmptyAndABrokenLineIsNamed) {
  const std::string path = unique("metrics") + ".jsonl";
  MetricsLog::resume(path, 3).append({{"step", 1}});
  EXPECT_EQ(read(path), "{\"step\":1}\n");
  std::ofstream(path, std::ios::app) << "nonsense\n{\"step\":2}\n";
  const std::string before = read(path);
  try {
    MetricsLog::resume(path, 3);
    FAIL() << "went through";
  } catch (const FormatError& error) {
    EXPECT_EQ(error.where, "line 2");
  }
  EXPECT_EQ(read(path), before) << "nothing was touched";
}

TEST(Progress, ClockIsReadAtAGlance) {
  EXPECT_EQ(clock_text(0), "0:00");
  EXPECT_EQ(clock_text(187.4), "3:07");
  EXPECT_EQ(clock_text(7387), "2:03:07");
  EXPECT_EQ(clock_text(NAN), "?");
  EXPECT_EQ(clock_text(INFINITY), "?");
}

int cells(const std::string& utf8) {
  int count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

TEST(Progress, BarFitsTheTerminalAndShowsWhatItCan) {
  const Progress progress{.step = 340,
                          .total = 1000,
                          .tokens_per_second = 12345,
                          .seconds_left = 151,
                          .loss = 2.3456,
                          .learning_rate = 1e-4,
                          .gradient_norm = 0.871};
  // The words take 60 - 25 columns; 34% of 25 cells are 8 and a half.
  EXPECT_EQ(progress_bar_line(progress, 60), " 34% ▕████████▌                ▏  step 340/1000  loss 2.3456");
  for (int columns = 0; columns <= 200; ++columns)
    EXPECT_LE(cells(progress_bar_line(progress, columns)), columns);
  const std::string wide = progress_bar_line(progress, 160);
  for (const char* words :
       {"step 340/1000", "loss 2.3456", "12.3k tokens/s", "2:31 left", "lr 1.00e-04", "grad norm 0.871"}) {
    EXPECT_NE(wide.find(words), std::string::npos) << words;
  }
}

TEST(Progress, PlainLineLeavesOutWhatIsUnknownButNotALossThatIsNaN) {
  EXPECT_EQ(progress_plain_line({.step = 0, .total = 10}), "  0%  step 0/10");
  EXPECT_EQ(progress_plain_line({.step = 10, .total = 10, .tokens_per_second = 950, .loss = 1}),
            "100%  step 10/10  loss 1.0000  950 tokens/s");
  EXPECT_EQ(progress_plain_line({.step = 999, .total = 1000}), " 99%  step 999/1000  loss nan")
      << "100% only at the end";
  EXPECT_EQ(progress_plain_line({.step = 3, .total = 0}), "  0%  step 3/0  loss nan");
  EXPECT_EQ(progress_plain_line({.step = 1, .total = 2, .counted = "request", .has_loss = false}),
            " 50%  request 1/2");
}

TEST(Progress, ANoteStandsBehindWhatIsWantedMore) {
  EXPECT_EQ(progress_plain_line({.step = 3,
                                 .total = 4,
                                 .seconds_left = 61,
                                 .loss = 1,
                                 .learning_rate = 1e-4,
                                 .note = "rank 2 +7%"}),
            " 75%  step 3/4  loss 1.0000  1:01 left  rank 2 +7%  lr 1.00e-04");
}

TEST(Progress, ThrottleAnswersYesOnceAnInterval) {
  Throttle throttle(0.1);
  EXPECT_TRUE(throttle.due(5.0));
  EXPECT_FALSE(throttle.due(5.05));
  EXPECT_TRUE(throttle.due(5.11));
}

}  // namespace
}  // namespace lethe
