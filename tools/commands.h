// The subcommands; each is one file in tools/.
#pragma once

#include <string>
#include <vector>

namespace lethe {

int advise_command(const std::vector<std::string>& arguments);
int batches_command(const std::vector<std::string>& arguments);
int bench_command(const std::vector<std::string>& arguments);
int convert_command(const std::vector<std::string>& arguments);
int data_command(const std::vector<std::string>& arguments);
int doctor_command(const std::vector<std::string>& arguments);
int eval_command(const std::vector<std::string>& arguments);
int forget_command(const std::vector<std::string>& arguments);
int generate_command(const std::vector<std::string>& arguments);
int inspect_command(const std::vector<std::string>& arguments);
int launch_command(const std::vector<std::string>& arguments);
int lint_command(const std::vector<std::string>& arguments);
int merge_command(const std::vector<std::string>& arguments);
int options_command(const std::vector<std::string>& arguments);
int plan_command(const std::vector<std::string>& arguments);
int report_command(const std::vector<std::string>& arguments);
int spectrum_command(const std::vector<std::string>& arguments);
int study_command(const std::vector<std::string>& arguments);
int tokenize_command(const std::vector<std::string>& arguments);
int train_command(const std::vector<std::string>& arguments);
int tune_command(const std::vector<std::string>& arguments);

}  // namespace lethe
