// Server: answers each line of each connection, traces every answer, and ends gracefully on SIGTERM or SIGINT: it takes no
// more connections, finishes the answers under way, and gives the spool a few seconds to deliver.

#include <spanspool.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <list>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using Clock = std::chrono::system_clock;

// A pipe that the signal handler writes to: whoever polls its other end wakes, and stays awake.
int stop_pipe[2];

void stop(int) {
    const char byte = 0;
    [[maybe_unused]] const auto written = write(stop_pipe[1], &byte, 1);
}

void stop_on_signals() {
    if (pipe(stop_pipe) != 0) throw std::runtime_error("no pipe");
    struct sigaction action {};
    action.sa_handler = stop;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

std::string random_hex(int digits) {
    thread_local std::mt19937_64 random{std::random_device{}()};
    std::string hex;
    for (int n = 0; n < digits; n++) hex += "0123456789abcdef"[random() % 16];
    return hex;
}

std::string iso(Clock::time_point time) {
    using namespace std::chrono;
    const auto us = duration_cast<microseconds>(time.time_since_epoch()).count();
    const std::time_t seconds = us / 1000000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[64];
    const auto end = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(text + end, sizeof text - end, ".%06d+00:00", static_cast<int>(us % 1000000));
    return text;
}

/** One answer as a span of the server's trace. */
void trace_answer(const spanspool::client& spool, const std::string& trace_id, std::size_t bytes, Clock::time_point began) {
    const auto span = R"({"object":"trace.span","id":"span_)" + random_hex(24) + R"(","trace_id":")" + trace_id +
                      R"(","parent_id":null,"started_at":")" + iso(began) + R"(","ended_at":")" + iso(Clock::now()) +
                      R"(","error":null,"span_data":{"type":"custom","name":"answer","data":{"bytes":)" +
                      std::to_string(bytes) + "}}}";
    // A server goes on when its tracing can't: the status is looked at, not thrown.
    if (const auto status = spool.enqueue(span, std::nothrow))
        std::cerr << "not traced: " << spanspool_status_str(status) << '\n';
}

/** Whether there is something to read, before it is time to stop. */
bool wait_for(int fd) {
    pollfd fds[] = {{fd, POLLIN, 0}, {stop_pipe[0], POLLIN, 0}};
    while (poll(fds, 2, -1) < 0) {
    }
    return fds[1].revents == 0;
}

/** Answers each line with the same line, until the other side or the server is done. */
void serve(int connection, const spanspool::client& spool, const std::string& trace_id) {
    std::string buffer;
    char part[1024];
    while (wait_for(connection)) {
        const auto got = read(connection, part, sizeof part);
        if (got <= 0) break;
        buffer.append(part, static_cast<std::size_t>(got));
        for (std::size_t end; (end = buffer.find('\n')) != std::string::npos; buffer.erase(0, end + 1)) {
            const auto began = Clock::now();
            const auto answer = buffer.substr(0, end + 1);
            // Traced first: whoever has the answer can rely on the span.
            trace_answer(spool, trace_id, end, began);
            if (write(connection, answer.data(), answer.size()) < 0) break;
        }
    }
    close(connection);
}

int listen_on_loopback() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (listener < 0 || bind(listener, any, size) != 0 || listen(listener, 16) != 0 || getsockname(listener, any, &size) != 0)
        throw std::runtime_error("cannot listen on 127.0.0.1");
    std::cout << "listening on 127.0.0.1:" << ntohs(address.sin_port) << std::endl;
    return listener;
}

void run(const spanspool::client& spool) {
    struct Serving {
        std::atomic<bool> done{false};
        std::thread thread;
    };
    const auto trace_id = "trace_" + random_hex(32);
    spool.enqueue(R"({"object":"trace","id":")" + trace_id + R"(","workflow_name":"server","group_id":null,"metadata":null})");
    const int listener = listen_on_loopback();
    std::list<Serving> all;
    const auto join_if = [&](auto which) {
        all.remove_if([&](Serving& serving) {
            if (!which(serving)) return false;
            serving.thread.join();
            return true;
        });
    };
    while (wait_for(listener)) {
        const int connection = accept(listener, nullptr, nullptr);
        join_if([](const Serving& serving) { return serving.done.load(); });
        if (connection < 0) continue;
        auto& serving = all.emplace_back();
        serving.thread = std::thread([&serving, &spool, &trace_id, connection] {
            serve(connection, spool, trace_id);
            serving.done = true;
        });
    }
    close(listener);
    join_if([](const Serving&) { return true; });
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return std::cerr << "usage: server SPOOL_DIR ENDPOINT\n", 2;
    try {
        stop_on_signals();
        spanspool::config config;
        config.set("spool_dir", argv[1]).set("endpoint", argv[2]).set("schedule_delay_ms", "500");
        const spanspool::client spool(config);
        run(spool);

        // Delivering has a deadline, as the orchestrator's patience has. What is left is the next process's to send.
        const auto status = spool.shutdown(std::chrono::steady_clock::now() + std::chrono::seconds(5), std::nothrow);
        std::cout << (status == SPANSPOOL_OK ? "all delivered" : spanspool_status_str(status)) << std::endl;
    } catch (const std::exception& error) {
        return std::cerr << error.what() << '\n', 1;
    }
}
