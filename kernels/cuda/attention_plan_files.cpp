// A file: a line of format, key length, plan length and checksum; the key; the plan.
#include "kernels/cuda/attention_plan_files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace lethe::kernels::cuda {
namespace {

constexpr const char* kFormat = "lethe-attention-plan-1";
constexpr int64_t kMostBytes = int64_t{256} << 20;

// FNV-1a (Fowler, Noll, Vo): tells damaged bytes apart, not forged ones.
template <class Bytes>
uint64_t checksum(const Bytes& bytes) {
  uint64_t sum = 0xcbf29ce484222325;
  for (const auto byte : bytes) sum = (sum ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return sum;
}

std::filesystem::path file_of(const std::string& folder, const std::string& key) {
  std::ostringstream name;
  name << std::hex << checksum(key) << ".plan";
  return std::filesystem::path(folder) / name.str();
}

}  // namespace

std::optional<std::vector<uint8_t>> read_plan(const std::string& folder, const std::string& key) {
  if (folder.empty()) return std::nullopt;
  std::ifstream in(file_of(folder, key), std::ios::binary);
  std::string format;
  int64_t key_bytes = 0, plan_bytes = 0;
  uint64_t sum = 0;
  if (!(in >> format >> key_bytes >> plan_bytes >> sum) || format != kFormat || in.get() != '\n')
    return std::nullopt;
  if (key_bytes != std::ssize(key) || plan_bytes < 1 || plan_bytes > kMostBytes) return std::nullopt;
  std::string found(key.size(), '\0');
  std::vector<uint8_t> plan(static_cast<size_t>(plan_bytes));
  in.read(found.data(), key_bytes);
  in.read(reinterpret_cast<char*>(plan.data()), plan_bytes);
  if (!in || found != key || checksum(plan) != sum) return std::nullopt;
  return plan;
}

void write_plan(const std::string& folder, const std::string& key, const std::vector<uint8_t>& plan) {
  if (folder.empty() || plan.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::filesystem::path file = file_of(folder, key);
  const std::filesystem::path unfinished = file.string() + "." + std::to_string(getpid());
  {
    std::ofstream out(unfinished, std::ios::binary);
    out << kFormat << ' ' << key.size() << ' ' << plan.size() << ' ' << checksum(plan) << '\n' << key;
    out.write(reinterpret_cast<const char*>(plan.data()), std::ssize(plan));
    out.close();
    if (out) std::filesystem::rename(unfinished, file, error);
    if (out && !error) return;
  }
  std::filesystem::remove(unfinished, error);
}

}  // namespace lethe::kernels::cuda
