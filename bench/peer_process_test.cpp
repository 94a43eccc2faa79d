// Children that answer, die, hang and babble.
#include "bench/peer_process.h"

#include <gtest/gtest.h>

#include <chrono>

namespace bench {
namespace {

// A peer of a few lines of shell, which sees about or rows as $1.
PeerProcess peer(const std::string& script) { return {"fake", {"sh", "-c", script, "fake"}}; }

std::string error_of(const nlohmann::json& answer) {
  return answer.value("error", "no error: " + answer.dump());
}

TEST(PeerProcess, AnswersALineWithALine) {
  PeerProcess good = peer(R"(while read -r line; do echo "{\"row\": \"$line\", \"pid\": $$}"; done)");
  const nlohmann::json first = good.ask("--t 5", 20), second = good.ask("--t 6", 20);
  EXPECT_EQ(first.at("row"), "--t 5");
  EXPECT_EQ(second.at("row"), "--t 6");
  EXPECT_EQ(first.at("pid"), second.at("pid")) << "one process for all rows";
}

TEST(PeerProcess, SaysWhatItIsOrWhyItCannotRun) {
  EXPECT_EQ(peer(R"([ "$1" = about ] && echo '{"name": "fake", "version": "1.2"}')").about(20).at("version"),
            "1.2");
  EXPECT_EQ(error_of(peer("echo no module named torch; exit 1").about(20)), "fake: no module named torch");
  EXPECT_EQ(error_of(peer("exit 3").about(20)), "fake ended with status 3");
  EXPECT_EQ(error_of(PeerProcess("none", {"/nowhere/none"}).about(20)), "none could not be started");
  EXPECT_EQ(error_of(peer("sleep 60").about(0.2)), "fake: no answer");
}

TEST(PeerProcess, OneThatDiesIsStartedAgainAFewTimes) {
  PeerProcess dying = peer("read -r line; exit 3");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(error_of(dying.ask("--t 5", 20)), "fake: ended with status 3");
  EXPECT_EQ(error_of(dying.ask("--t 5", 20)), "fake: given up after 5 starts");
  PeerProcess killed = peer("read -r line; kill -9 $$");
  EXPECT_EQ(error_of(killed.ask("--t 5", 20)), "fake: was ended by signal 9");
}

TEST(PeerProcess, OneThatHangsIsEndedAndTheNextRowIsAnswered) {
  PeerProcess hangs =
      peer(R"(read -r line; [ "$line" = hang ] && sleep 60; echo '{"ok": true}'; cat >/dev/null)");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of(hangs.ask("hang", 1)), "fake: no answer in 1 s");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30)) << "it waited for the sleep";
  EXPECT_EQ(hangs.ask("go on", 20).at("ok"), true);
}

TEST(PeerProcess, WhatIsNoJsonIsAnError) {
  PeerProcess babbles = peer("while read -r line; do echo hello; done");
  EXPECT_EQ(error_of(babbles.ask("--t 5", 20)), "fake: no JSON: hello");
  PeerProcess endless = peer("read -r line; yes | tr -d '\\n'");
  EXPECT_EQ(error_of(endless.ask("--t 5", 20)), "fake: a line without an end");
}

TEST(PeerProcess, ALongRowToOneThatReadsNothingEnds) {
  PeerProcess deaf = peer("exec sleep 60");
  EXPECT_NE(error_of(deaf.ask(std::string(1 << 20, 'x'), 0.5)).find("fake: "), std::string::npos);
  PeerProcess gone = peer("exec true");
  EXPECT_EQ(error_of(gone.ask(std::string(1 << 20, 'x'), 20)), "fake: ended with status 0");
}

}  // namespace
}  // namespace bench
