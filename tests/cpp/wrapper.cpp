// include/spanspool.hpp: ownership, errors in both forms, deadlines, the log, and threads.

#include <spanspool.hpp>

#include "../c/check.h"

#include <dirent.h>

#include <array>
#include <atomic>
#include <fstream>
#include <thread>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<spanspool::client> && !std::is_copy_assignable_v<spanspool::client>);
static_assert(std::is_nothrow_move_constructible_v<spanspool::client> && std::is_nothrow_move_assignable_v<spanspool::client>);
static_assert(!std::is_copy_constructible_v<spanspool::config> && std::is_move_constructible_v<spanspool::config>);
static_assert(std::is_nothrow_destructible_v<spanspool::client> && std::is_nothrow_default_constructible_v<spanspool::client>);
static_assert(std::is_base_of_v<std::runtime_error, spanspool::error>);

static std::string folder;

static spanspool::config offline(const std::string& name) {
    spanspool::config config;
    config.set("spool_dir", folder + "/" + name).set("exporter", "none");
    return config;
}

/** The status that `call` throws, and what it says in `what`; OK when it throws nothing. */
template <class F>
static spanspool_status thrown(F call, std::string* what = nullptr) {
    try {
        call();
    } catch (const spanspool::error& error) {
        if (what) *what = error.what();
        return error.status();
    }
    return SPANSPOOL_OK;
}

/** The library's threads in this process. */
static int library_threads() {
    int count = 0;
    DIR* tasks = opendir("/proc/self/task");
    while (const dirent* task = readdir(tasks)) {
        std::string name;
        std::getline(std::ifstream(std::string("/proc/self/task/") + task->d_name + "/comm"), name);
        count += name.rfind("spanspool-", 0) == 0;
    }
    closedir(tasks);
    return count;
}

/** Waits until the library has threads, or none: /proc shows both a little late. False when that never comes. */
static bool soon(bool some) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while ((library_threads() > 0) != some) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

static void clients_move() {
    spanspool::client first(offline("moves"));
    const spanspool_client* handle = first.get();
    first.enqueue("{}");
    spanspool::client second(std::move(first));
    CHECK(!first && second && second.get() == handle);
    CHECK_STATUS(first.enqueue("{}", std::nothrow), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK(thrown([&] { first.wake(); }) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    second.enqueue("{}");
    auto& self = second;
    second = std::move(self);
    CHECK(second.stats().accepted == 2);

    std::vector<spanspool::client> many;
    many.push_back(std::move(second));
    for (int n = 0; n < 3; n++) many.emplace_back(offline("moves"));
    CHECK(many[0].get() == handle && many[0].stats().accepted == 2);
    std::swap(many[0], many[3]);
    CHECK(many[3].get() == handle);
    many.clear();
    CHECK(soon(false));
}

static void errors_are_thrown() {
    std::string what;
    spanspool::config config;
    CHECK(thrown([&] { config.set("spool", "x"); }, &what) == SPANSPOOL_ERR_UNKNOWN_SETTING);
    CHECK_HAS(what.c_str(), "spool");
    CHECK(thrown([&] { config.set("max_batch_size", "many"); }, &what) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(what.c_str(), "many");
    CHECK_HAS(what.c_str(), "65536");
    CHECK(thrown([&] { config.set(std::string_view("spool_dir\0x", 11), "x"); }) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK(thrown([&] { spanspool::client client(config); }, &what) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(what.c_str(), "spool_dir");

    const spanspool::client client(offline("errors"));
    CHECK(thrown([&] { client.enqueue("[]"); }, &what) == SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_HAS(what.c_str(), "enqueue");
    CHECK_HAS(what.c_str(), "must begin with '{'");
    CHECK(client.last_error() != "" && what == "spanspool::client::enqueue: " + client.last_error());
    CHECK(thrown([&] { client.enqueue({}); }, &what) == SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_HAS(what.c_str(), "item is empty");
    CHECK(thrown([&] { client.enqueue_as("", "{}"); }, &what) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(what.c_str(), "1 to 255");
    CHECK(thrown([&] { client.set_api_key("not\nvisible"); }) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK(thrown([&] { client.set_named_key(std::string_view("a\0b", 3), "key"); }, &what) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(what.c_str(), "a text holds a NUL");
    client.enqueue("{}");
    client.pause();
    client.wake();
    CHECK(client.last_error().empty());
    CHECK(thrown([&] { client.shutdown(0s); }) == SPANSPOOL_ERR_TIMEOUT);
    CHECK(thrown([&] { client.enqueue("{}"); }) == SPANSPOOL_ERR_SHUT_DOWN);
    CHECK(thrown([&] { client.sync(); }) == SPANSPOOL_ERR_SHUT_DOWN);
    CHECK(thrown([&] { client.pause(); }) == SPANSPOOL_ERR_SHUT_DOWN);
    CHECK(thrown([&] { client.wake(); }) == SPANSPOOL_ERR_SHUT_DOWN);
    CHECK(thrown([&] { client.flush(1s); }) == SPANSPOOL_ERR_SHUT_DOWN);
}

static void statuses_are_returned() {
    using client = spanspool::client;
    const client& c = client();
    spanspool_stats stats{};
    static_assert(noexcept(c.enqueue("", std::nothrow)) && noexcept(c.enqueue_as("", "", std::nothrow)));
    static_assert(noexcept(c.set_api_key("", std::nothrow)) && noexcept(c.set_named_key("", "", std::nothrow)));
    static_assert(noexcept(c.wake(std::nothrow)) && noexcept(c.sync(std::nothrow)) && noexcept(c.stats(stats, std::nothrow)));
    constexpr auto second = 1s;
    static_assert(noexcept(c.flush(second, std::nothrow)) && noexcept(c.shutdown(second, std::nothrow)));
    static_assert(!noexcept(c.enqueue("")) && !noexcept(c.flush(second)));

    std::string why;
    spanspool::config config = offline("statuses");
    static_assert(noexcept(config.set("", "", std::nothrow, &why)));
    CHECK_STATUS(config.set("jitter", "2", std::nothrow, &why), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK_HAS(why.c_str(), "jitter");
    CHECK_STATUS(config.set("jitter", "1", std::nothrow, &why), SPANSPOOL_OK);
    CHECK(why.empty());
    CHECK_STATUS(config.set("jitter", std::string_view("1\0", 2), std::nothrow), SPANSPOOL_ERR_INVALID_ARGUMENT);

    client opened;
    CHECK_STATUS(client::open(spanspool::config(), opened, &why), SPANSPOOL_ERR_INVALID_ARGUMENT);
    CHECK(!opened);
    CHECK_HAS(why.c_str(), "spool_dir");
    CHECK_STATUS(client::open(config, opened), SPANSPOOL_OK);
    CHECK_STATUS(opened.enqueue("{}", std::nothrow), SPANSPOOL_OK);
    CHECK_STATUS(opened.enqueue_as("team", "{}", std::nothrow), SPANSPOOL_OK);
    CHECK_STATUS(opened.enqueue("{", std::nothrow), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK_STATUS(opened.set_api_key("sk-1", std::nothrow), SPANSPOOL_OK);
    CHECK_STATUS(opened.set_named_key("team", "sk-2", std::nothrow), SPANSPOOL_OK);
    CHECK_STATUS(opened.wake(std::nothrow), SPANSPOOL_OK);
    CHECK_STATUS(opened.sync(std::nothrow), SPANSPOOL_OK);
    CHECK_STATUS(opened.stats(stats, std::nothrow), SPANSPOOL_OK);
    CHECK(stats.accepted == 2 && stats.pending == 2);
    CHECK_STATUS(opened.shutdown(0s, std::nothrow), SPANSPOOL_ERR_TIMEOUT);
}

static void deadlines_are_of_any_kind() {
    const spanspool::client client(offline("deadlines"));
    client.flush(0s);  // there is nothing to wait for
    client.enqueue("{}");
    const auto late = [&](auto deadline) { CHECK_STATUS(client.flush(deadline, std::nothrow), SPANSPOOL_ERR_TIMEOUT); };
    late(0s);
    late(-1h);
    late(1ns);
    late(std::chrono::duration<double>(0.001));
    late(std::chrono::duration<float>(std::numeric_limits<float>::quiet_NaN()));
    late(std::chrono::system_clock::now() - 1h);
    late(std::chrono::steady_clock::now() + 1ms);
    late(std::chrono::steady_clock::time_point::min());
    CHECK(thrown([&] { client.flush(1ms); }) == SPANSPOOL_ERR_TIMEOUT);

    // The longest deadlines have not become short ones or none: only the shutdown ends the wait.
    std::atomic<int> waiting{0}, back{0};
    const auto wait = [&](auto deadline) {
        waiting++;
        CHECK_STATUS(client.flush(deadline, std::nothrow), SPANSPOOL_ERR_SHUT_DOWN);
        back++;
    };
    using Hours = std::chrono::time_point<std::chrono::system_clock, std::chrono::hours>;
    std::array<std::thread, 5> waiters{
        std::thread([&] { wait(std::chrono::hours::max()); }),
        std::thread([&] { wait(std::chrono::steady_clock::time_point::max()); }),
        std::thread([&] { wait(std::chrono::duration<double>(1e300)); }),
        std::thread([&] { wait(Hours::max()); }),
        std::thread([&] { wait(std::chrono::system_clock::now() + 1h); }),
    };
    while (waiting < 5) std::this_thread::yield();
    late(100ms);
    CHECK(back == 0);
    CHECK_STATUS(client.shutdown(-1s, std::nothrow), SPANSPOOL_ERR_TIMEOUT);
    for (auto& waiter : waiters) waiter.join();
}

static void counters_outlive_the_shutdown() {
    const spanspool::client client(offline("final"));
    for (int n = 0; n < 3; n++) client.enqueue("{}");
    CHECK(spanspool::state_of(client.stats()) == spanspool::export_state::idle);
    CHECK(client.stats().partially_rejected == 0 && client.stats().held_batches == 0);
    CHECK_STATUS(client.shutdown(0s, std::nothrow), SPANSPOOL_ERR_TIMEOUT);
    CHECK_HAS(client.last_error().c_str(), "3 items stay in the spool");
    CHECK(client.stats().accepted == 3 && client.stats().pending == 3);
    CHECK(spanspool::state_of(client.stats()) == spanspool::export_state::idle);
}

static void state_is_the_exporters() {
    spanspool::config config;
    // Nobody listens at this port.
    config.set("spool_dir", folder + "/states").set("endpoint", "http://127.0.0.1:9/").set("schedule_delay_ms", "0");
    const spanspool::client client(config);
    client.enqueue("{}");
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (spanspool::state_of(client.stats()) != spanspool::export_state::backoff) {
        CHECK(std::chrono::steady_clock::now() < deadline);
        if (failures) return;
        std::this_thread::sleep_for(1ms);
    }
    spanspool_stats stats{};
    stats.export_state = SPANSPOOL_EXPORT_HOLD;
    CHECK(spanspool::state_of(stats) == spanspool::export_state::hold);
}

static std::atomic<int> lines;
static std::atomic<bool> outlived_the_threads;

/** Notes on its own end whether the threads are gone that could still call it. */
struct Log {
    std::shared_ptr<int> alive = std::make_shared<int>();
    ~Log() { outlived_the_threads = soon(false); }
};

static void log_lives_as_long_as_it_may_be_called() {
    std::weak_ptr<int> alive;
    lines = 0;
    spanspool::client client;
    {
        auto log = std::make_shared<Log>();
        alive = log->alive;
        spanspool::config config = offline("log");
        config.set_log([log](spanspool::log_level, std::string_view) { lines++; });
        client = spanspool::client(config);
    }
    CHECK(!alive.expired());
    const int before = lines;
    CHECK_STATUS(client.enqueue("[]", std::nothrow), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK(lines > before);
    // Assigning closes the old handle, and only then lets go of its log.
    CHECK(soon(true));
    client = spanspool::client();
    CHECK(alive.expired());
    CHECK(outlived_the_threads);
}

static void log_may_be_replaced_and_may_throw() {
    lines = 0;
    spanspool::config config = offline("log");
    config.set_log([](spanspool::log_level, std::string_view) { lines++; });
    config.set_log([](spanspool::log_level, std::string_view) -> void { throw std::runtime_error("swallowed"); });
    {
        const spanspool::client client(config);
        CHECK_STATUS(client.enqueue("[]", std::nothrow), SPANSPOOL_ERR_INVALID_ITEM);
        config.set_log([](spanspool::log_level level, std::string_view line) {
            lines += level == spanspool::log_level::debug && line.find("enqueue") != line.npos;
        });
        CHECK_STATUS(client.enqueue("[]", std::nothrow), SPANSPOOL_ERR_INVALID_ITEM);
        CHECK(lines == 0);
    }
    CHECK_STATUS(spanspool::client(config).enqueue("[]", std::nothrow), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK(lines == 1);
    config.set_log(nullptr);
    CHECK_STATUS(spanspool::client(config).enqueue("[]", std::nothrow), SPANSPOOL_ERR_INVALID_ITEM);
    CHECK(lines == 1);
}

static void destructor_keeps_what_is_pending() {
    {
        const spanspool::client client(offline("destructor"));
        for (int n = 0; n < 10; n++) client.enqueue("{}");
        CHECK(soon(true));
    }
    CHECK(soon(false));
    const auto stats = spanspool::client(offline("destructor")).stats();
    CHECK(stats.accepted == 10 && stats.pending == 10);
}

static void threads_share_a_client(const char* endpoint) {
    spanspool::config config;
    config.set("spool_dir", folder + "/threads").set("endpoint", endpoint);
    spanspool::client client(config);
    std::array<std::thread, 4> threads;
    for (std::size_t t = 0; t < threads.size(); t++)
        threads[t] = std::thread([&client, t] {
            for (int n = 0; n < 100; n++)
                client.enqueue(R"({"id":")" + std::to_string(t) + "-" + std::to_string(n) + "\"}");
        });
    for (auto& thread : threads) thread.join();
    client.flush(60s);
    CHECK(client.stats().delivered == 400);
    client.shutdown(std::chrono::steady_clock::now() + 60s);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    folder = argv[1];
    clients_move();
    errors_are_thrown();
    statuses_are_returned();
    deadlines_are_of_any_kind();
    log_lives_as_long_as_it_may_be_called();
    log_may_be_replaced_and_may_throw();
    destructor_keeps_what_is_pending();
    counters_outlive_the_shutdown();
    state_is_the_exporters();
    threads_share_a_client(argv[2]);
    return verdict();
}
