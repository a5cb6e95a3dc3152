// A receiver of OTLP over HTTP that accepts everything and counts spans by their name.

#ifndef RECEIVER_HPP
#define RECEIVER_HPP

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

/** Serves until the process ends. */
class receiver {
  public:
    explicit receiver(std::string_view name) : name_(name) {
        sockaddr_in address{};
        socklen_t length = sizeof address;
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* any = reinterpret_cast<sockaddr*>(&address);
        const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::bind(socket, any, length) != 0 || ::listen(socket, 64) != 0 || ::getsockname(socket, any, &length) != 0) {
            throw std::runtime_error("no socket to listen on");
        }
        url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        std::thread([this, socket] {
            for (;;) std::thread([this, peer = ::accept(socket, nullptr, nullptr)] { serve(peer); }).detach();
        }).detach();
    }

    const std::string& url() const { return url_; }
    long spans() const { return spans_; }

  private:
    void serve(int peer) {
        std::string got;
        while (read_until(peer, got, got.find("\r\n\r\n"))) {
            const auto head = got.find("\r\n\r\n") + 4;
            const auto field = got.find("ontent-");
            const auto length = got.find("ength: ", field);
            const auto whole = head + (length < head ? std::strtoul(got.c_str() + length + 7, nullptr, 10) : 0);
            while (got.size() < whole && more(peer, got)) {
            }
            for (auto at = got.find(name_, head); at < whole; at = got.find(name_, at + 1)) ++spans_;
            got.erase(0, whole);
            constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            if (::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
        }
        ::close(peer);
    }

    static bool read_until(int peer, std::string& got, std::size_t found) {
        while (found == std::string::npos) {
            if (!more(peer, got)) return false;
            found = got.find("\r\n\r\n");
        }
        return true;
    }

    static bool more(int peer, std::string& got) {
        char buffer[65536];
        const auto count = ::recv(peer, buffer, sizeof buffer, 0);
        if (count > 0) got.append(buffer, static_cast<std::size_t>(count));
        return count > 0;
    }

    std::string name_, url_;
    std::atomic<long> spans_{0};
};

#endif  // RECEIVER_HPP
