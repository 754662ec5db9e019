#include "src/chat/chat_line.h"

#include "src/chat/persona_file.h"
#include "src/chat/reply_text.h"
#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::chat {

using Catch::Matchers::Contains;

TEST_CASE("a line is said, or is a command where it begins with one slash", "[chat]") {
  CHECK(parse_chat_line("  hello ,\t you \r").text == "hello , you");
  CHECK((parse_chat_line("hello").action == ChatAction::kSay));
  CHECK(parse_chat_line("").text.empty());
  CHECK(parse_chat_line("//undo it").text == "/undo it");
  CHECK((parse_chat_line("//undo it").action == ChatAction::kSay));
  CHECK((parse_chat_line(" /undo ").action == ChatAction::kUndo));
  CHECK((parse_chat_line("/persona").action == ChatAction::kShowPersona));
  const ChatLine add = parse_chat_line("/persona add i like  tea.");
  CHECK((add.action == ChatAction::kAddTrait));
  CHECK(add.text == "i like tea.");
  const ChatLine remove = parse_chat_line("/persona remove 2");
  CHECK((remove.action == ChatAction::kRemoveTrait));
  CHECK(remove.number == 2);
  CHECK(parse_chat_line("/history -1").number == -1);
  CHECK(parse_chat_line("/save a b.txt").text == "a b.txt");
}

TEST_CASE("a command that cannot be followed is refused with what could be", "[chat]") {
  CHECK_THROWS_WITH(parse_chat_line("/shrug"), Contains("/shrug is no command"));
  for (const char* bad :
       {"/persona remove", "/persona remove x", "/persona add", "/persona sing", "/history 0",
        "/history -2", "/history 99999999999999999999", "/save", "/undo 2"})
    CHECK_THROWS_AS(parse_chat_line(bad), UsageError);
  CHECK_THROWS_WITH(parse_chat_line(std::string(kMostLineBytes + 1, 'a')), Contains("65537"));
}

TEST_CASE("bytes that are no text do no harm in a line", "[chat]") {
  CHECK(parse_chat_line("a\xff\x1b[2J\x00z").text == "a\xef\xbf\xbd[2J");
  CHECK(parse_chat_line(std::string("a\0b", 3)).text == "ab");
}

TEST_CASE("a persona is a trait on each line, with or without PERSONA-CHAT's labels", "[chat]") {
  const std::vector<std::string> traits{"i ski.", "i have 2 dogs.", "3 of us sing."};
  CHECK(parse_persona("i ski.\r\n\n  i have 2  dogs.\n3 of us sing.", "p") == traits);
  CHECK(parse_persona("1 your persona: i ski.\npersona: i have 2 dogs.\nyour persona: 3 of us "
                      "sing.\n",
                      "p") == traits);
  CHECK_THROWS_AS(parse_persona("\n \n", "p"), DataError);
  CHECK_THROWS_AS(parse_persona("\xff", "p"), DataError);
  std::string many;
  for (std::size_t i = 0; i <= kMostTraits; ++i) many += "i am.\n";
  CHECK_THROWS_WITH(parse_persona(many, "p"), Contains("101 traits"));
}

TEST_CASE("a reply is cleaned as it comes and ends at its line end", "[chat]") {
  ReplyText reply;
  CHECK(reply.push(" ").empty());
  CHECK(reply.push(" hi").append(reply.push("  ")) == "hi");
  CHECK(reply.push("\x1b[1mthe\xc2\x9bre ") == " [1mthere");
  CHECK_FALSE(reply.ended());
  CHECK(reply.push(" .\nmore") == " .");
  CHECK(reply.ended());
  CHECK(reply.push("more").empty());
  CHECK(reply.all() == "hi [1mthere .");
}

}  // namespace ovid::chat
