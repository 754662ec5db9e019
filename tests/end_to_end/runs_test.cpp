#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/end_to_end/tiny_run.h"

// `ovid runs`, on runs that the program itself has made.
namespace ovid::test {
namespace {

using Catch::Matchers::Contains;
using Json = nlohmann::json;

// Three runs: two with the same losses, one with another seed and fewer steps.
class ThreeRuns {
 public:
  ThreeRuns() {
    REQUIRE(tiny_.train({"run.name=first"}).exit_code == 0);
    REQUIRE(tiny_.train({"run.name=second", "checkpoint.keep_last=1"}).exit_code == 0);
    REQUIRE(tiny_.train({"run.name=third", "run.seed=8", "training.steps=10"}).exit_code == 0);
  }

  ProcessResult runs(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command{program("ovid"), "runs"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run_process(command);
  }
  Json json_of(const std::vector<std::string>& arguments) const {
    const ProcessResult result = runs(arguments);
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    return Json::parse(result.output);
  }
  std::string directory(const std::string& name) const { return tiny_.run_directory(name); }
  std::string all() const { return tiny_.path("runs"); }

 private:
  TinyRun tiny_{20};
};

}  // namespace

TEST_CASE("runs ls, show, compare and report tell what the runs did", "[e2e]") {
  static const ThreeRuns three;  // once for all sections

  SECTION("ls has a line for each run, and as JSON an object") {
    const ProcessResult table = three.runs({"ls", three.all()});
    INFO(table.errors);
    REQUIRE(table.exit_code == 0);
    CHECK_THAT(table.output, Contains("NAME") && Contains("20/20") && Contains("10/10"));
    std::istringstream lines(three.runs({"ls", three.all(), "--json"}).output);
    std::vector<std::string> names;
    for (std::string line; std::getline(lines, line);) {
      const Json run = Json::parse(line);
      names.push_back(run["name"]);
      CHECK(run["status"] == "done");
      CHECK(run["loss"].get<double>() > 0);
      CHECK(run["bytes"].get<double>() > 0);
    }
    CHECK(names.size() == 3);
  }
  SECTION("ls of a folder without runs prints nothing and says so") {
    const ProcessResult none = three.runs({"ls", three.directory("first") + "/samples"});
    CHECK(none.exit_code == 0);
    CHECK(none.output.empty());
    CHECK_THAT(none.errors, Contains("no run in"));
  }
  SECTION("show has the run's figures, its config and its events") {
    const Json run = three.json_of({"show", three.directory("first"), "--json"});
    CHECK(run["step"] == 20);
    CHECK(run["steps"] == 20);
    CHECK(run["tokens"] == 20 * 12 * 32);
    CHECK(run["checkpoints"] == Json({0, 10, 20}));
    CHECK(run["best_validation_loss"].get<double>() > 0);
    CHECK_FALSE(run["config"].empty());
    CHECK(run["events"].back()["event"] == "done");
    const ProcessResult text = three.runs({"show", three.directory("first")});
    CHECK_THAT(text.output, Contains("first") && Contains("step 0, 10, 20") && Contains("done"));
  }
  SECTION("compare names what differs in the configs and where the losses part") {
    const Json same =
        three.json_of({"compare", three.directory("first"), three.directory("second"), "--json"});
    CHECK(same["common_steps"] == 20);
    CHECK(same["first_difference"].is_null());
    CHECK(same["config"].contains("checkpoint.keep_last"));
    CHECK_FALSE(same["config"].contains("optimizer.learning_rate"));
    const Json other =
        three.json_of({"compare", three.directory("first"), three.directory("third"), "--json"});
    CHECK(other["common_steps"] == 10);
    CHECK(other["first_difference"]["step"] == 1);
    CHECK(other["config"]["run.seed"].size() == 2);
    const ProcessResult text =
        three.runs({"compare", three.directory("first"), three.directory("second")});
    CHECK_THAT(text.output, Contains("equal to the last bit"));
    CHECK(three.runs({"compare", three.directory("first")}).exit_code == 2);
  }
  SECTION("report writes the page anew and prints its path") {
    const Path page = Path(three.directory("second")) / "report.html";
    std::filesystem::remove(page);
    const ProcessResult result = three.runs({"report", three.directory("second")});
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    CHECK(result.output == page.string() + "\n");
    const std::string html = read_file(page);
    CHECK_THAT(html, Contains("<svg") && Contains("second") && !Contains("http://") &&
                         !Contains("https://"));
  }
  SECTION("a folder that is no run is an error that names it") {
    for (const char* command : {"show", "report"}) {
      const ProcessResult result = three.runs({command, three.all()});
      CHECK(result.exit_code != 0);
      CHECK(result.output.empty());
      CHECK_THAT(result.errors, Contains(three.all()));
    }
  }
}

}  // namespace ovid::test
