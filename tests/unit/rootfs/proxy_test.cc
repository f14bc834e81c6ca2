// What the proxy of a sandbox reads: requests, and the first message of TLS connections.
#include <gtest/gtest.h>

#include <string>

#include "rootfs/worker/servers/client_hello.h"
#include "rootfs/worker/servers/connect_head.h"
#include "rootfs/worker/servers/connection.h"

namespace rundlet::rootfs::worker {
namespace {

using namespace std::string_literals;
using State = ClientHello::State;

std::string Sized(size_t width, const std::string& bytes) {
  std::string text;
  for (size_t i = width; i-- > 0;) text += static_cast<char>(bytes.size() >> (8 * i) & 0xff);
  return text + bytes;
}
std::string Record(const std::string& bytes) { return "\x16\x03\x01" + Sized(2, bytes); }
std::string NameExtension(const std::string& name) {
  return "\0\0"s + Sized(2, Sized(2, "\0"s + Sized(2, name)));
}
std::string Message(const std::string& extensions) {
  return "\x01" + Sized(3, "\x03\x03"s + std::string(32, 'r') + Sized(1, "session") +
                               Sized(2, "\x13\x01"s) + Sized(1, "\0"s) + Sized(2, extensions));
}
ClientHello Read(const std::string& bytes) {
  return ReadClientHello({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}
State StateOf(const std::string& bytes) { return Read(bytes).state; }

TEST(ClientHello, NamesItsHost) {
  const std::string other = "\0\x17\0\0"s;
  const ClientHello hello = Read(Record(Message(other + NameExtension("idx.test") + other)));
  EXPECT_EQ(hello.state, State::kNamed);
  EXPECT_EQ(hello.host, "idx.test");
}

TEST(ClientHello, MayComeInPiecesAndInSeveralRecords) {
  const std::string message = Message(NameExtension("idx.test"));
  const std::string whole =
      Record(message.substr(0, 2)) + Record(message.substr(2, 30)) + Record(message.substr(32));
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(StateOf(whole.substr(0, size)), State::kPartial) << size;
  EXPECT_EQ(Read(whole).host, "idx.test");
  EXPECT_EQ(Read(whole + "what follows").host, "idx.test");
}

TEST(ClientHello, NamesOneHostOrIsRefused) {
  const std::string a = NameExtension("a.example");
  EXPECT_EQ(StateOf(Record(Message(""))), State::kInvalid);
  EXPECT_EQ(StateOf(Record(Message(NameExtension("")))), State::kInvalid);
  EXPECT_EQ(StateOf(Record(Message(a + a))), State::kInvalid);
  const std::string two = "\0"s + Sized(2, "a") + "\0"s + Sized(2, "b");
  EXPECT_EQ(StateOf(Record(Message("\0\0"s + Sized(2, Sized(2, two))))), State::kInvalid);
  EXPECT_EQ(StateOf(Record(Message(a + "\xfe\x0d"s + Sized(2, "inner")))), State::kInvalid);
}

TEST(ClientHello, IsNothingElse) {
  EXPECT_EQ(StateOf("GET / HTTP/1.1\r\n"), State::kInvalid);
  EXPECT_EQ(StateOf("\x17\x03\x03\0\x01x"s), State::kInvalid);
  EXPECT_EQ(StateOf("\x16\x02\0\0\x01x"s), State::kInvalid);
  EXPECT_EQ(StateOf(Record("\x02\0\0\0"s)), State::kInvalid);
  EXPECT_EQ(StateOf(Record("\x01\x7f\xff\xff"s)), State::kInvalid) << "8 MiB";
  EXPECT_EQ(StateOf(Record("")), State::kInvalid) << "an empty record";
  std::string cut = Message(NameExtension("a.example"));
  cut[6 + 32] = '\xff';  // the session's length
  EXPECT_EQ(StateOf(Record(cut)), State::kInvalid);
}

TEST(ClientHello, EndsSomewhere) {
  const std::string endless = Record("\x01\0\x7f\xff"s);
  std::string records = endless;
  while (records.size() < kMaxClientHello) records += Record("x");
  EXPECT_EQ(StateOf(records.substr(0, kMaxClientHello)), State::kInvalid);
}

TEST(ConnectHead, NamesAHostAndAPort) {
  const std::string head = "CONNECT IDX.test:443 HTTP/1.1\r\nHost: x\r\n\r\n";
  EXPECT_EQ(HeadLength(head + "more"), head.size());
  EXPECT_EQ(HeadLength(head.substr(0, head.size() - 1)), std::nullopt);
  EXPECT_EQ(ReadConnectHead(head).status, 200);
  EXPECT_EQ(ReadConnectHead(head).target, (base::HostPort{"idx.test", 443}));
}

TEST(ConnectHead, IsRefusedWithAReason) {
  const auto status = [](const std::string& line) {
    const ConnectHead head = ReadConnectHead(line + "\r\n\r\n");
    EXPECT_FALSE(head.reason.empty()) << line;
    return head.status;
  };
  EXPECT_EQ(status(""), 400);
  EXPECT_EQ(status("CONNECT a:1"), 400);
  EXPECT_EQ(status("CONNECT a:1 HTTP/2"), 400);
  EXPECT_EQ(status("CONNECT  a:1 HTTP/1.1"), 400);
  EXPECT_EQ(status("GET http://a/ HTTP/1.1"), 405);
  EXPECT_EQ(status("connect a:1 HTTP/1.1"), 405);
  EXPECT_EQ(status("CONNECT 10.0.0.1:443 HTTP/1.1"), 403);
  EXPECT_EQ(status("CONNECT a HTTP/1.1"), 403);
}

}  // namespace
}  // namespace rundlet::rootfs::worker
