/*
 * spanspool.hpp: the C library for C++17. Header only; needs nothing but spanspool.h and the standard library.
 *
 *     spanspool::config config;
 *     config.set("spool_dir", "/var/spool/my-agent");
 *     spanspool::client client(config);                  // throws spanspool::error
 *     client.enqueue(R"({"object":"trace","id":"trace_1"})");  // durable when it returns
 *     client.shutdown(std::chrono::seconds(5));          // what is left by then stays in the spool
 *
 * Everything that spanspool.h says of the promise, threads, fork and settings holds here as well.
 *
 * Errors: a call that does not answer SPANSPOOL_OK throws spanspool::error, a deadline that passed included. Each such call
 * has an overload that takes std::nothrow, never throws, and returns the status: `client.enqueue(item, std::nothrow)`. In
 * those, memory that ran out is SPANSPOOL_ERR_INTERNAL.
 *
 * Texts: std::string_view in UTF-8, copied. Items may hold any byte; in other texts a NUL is
 * SPANSPOOL_ERR_INVALID_ARGUMENT.
 */

#ifndef SPANSPOOL_HPP
#define SPANSPOOL_HPP

#include <spanspool.h>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

/**
 * The place of the names below, and nothing else. It is the struct that spanspool.h names for handles, because C++ allows no
 * namespace of that name beside it; so a program may use both headers. There are no objects of it.
 */
struct spanspool final {
    class error;
    class config;
    class client;

    /** Receives log lines; level: 1 error, 2 warning, 3 change of state, 4 debug. */
    using log_function = std::function<void(int level, std::string_view message)>;

    spanspool() = delete;
    ~spanspool() = delete;
    spanspool(const spanspool&) = delete;
    spanspool& operator=(const spanspool&) = delete;

  private:
    struct free_config {
        void operator()(spanspool_config* config) const noexcept { spanspool_config_free(config); }
    };
    struct free_handle {
        void operator()(spanspool* handle) const noexcept { spanspool_free(handle); }
    };

    /** Calls f with a NUL-terminated copy of each text. */
    template <class F, class... Texts>
    static spanspool_status with_texts(F f, Texts... texts) noexcept {
        if (((texts.find('\0') != std::string_view::npos) || ...)) return SPANSPOOL_ERR_INVALID_ARGUMENT;
        try {
            return f(std::string(texts).c_str()...);
        } catch (...) {
            return SPANSPOOL_ERR_INTERNAL;
        }
    }

    // Wide enough for the longest duration of any kind, and exact to far below a millisecond.
    using wide_ms = std::chrono::duration<long double, std::milli>;

    /** Whole milliseconds, rounded up, so that no deadline comes early; 0 for what is past or no number. */
    static std::uint64_t to_ms(wide_ms timeout) noexcept {
        const long double ms = std::ceil(timeout.count());
        constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
        if (!(ms > 0)) return 0;
        return ms < static_cast<long double>(most) ? static_cast<std::uint64_t>(ms) : most;
    }

    template <class Clock, class Duration>
    static std::uint64_t to_ms(std::chrono::time_point<Clock, Duration> deadline) noexcept {
        return to_ms(wide_ms(deadline.time_since_epoch()) - wide_ms(Clock::now().time_since_epoch()));
    }
};

/** A call that did not answer SPANSPOOL_OK. what() says what was wrong, where, and what is allowed. */
class spanspool::error : public std::runtime_error {
  public:
    error(spanspool_status status, const std::string& what) : std::runtime_error(what), status_(status) {}

    /** What the call answered; never SPANSPOOL_OK. */
    spanspool_status status() const noexcept { return status_; }

  private:
    friend class spanspool::config;
    friend class spanspool::client;

    static void check(const char* call, spanspool_status status, const std::string& why = {}) {
        if (status == SPANSPOOL_OK) return;
        throw error(status, std::string(call) + ": " + (why.empty() ? spanspool_status_str(status) : why.c_str()));
    }

    spanspool_status status_;
};

/** Settings, gathered before a client is opened. Move only; for one thread at a time. */
class spanspool::config {
  public:
    /** All defaults; spool_dir is still to be set. Throws error after a defect of spanspool. */
    config() : config_(spanspool_config_new()) {
        if (!config_) error::check("spanspool::config", SPANSPOOL_ERR_INTERNAL);
    }

    /** Changes one setting, as spanspool_config_set does. Returns *this. Throws error, which says what is allowed. */
    config& set(std::string_view key, std::string_view value) {
        std::string why;
        const auto status = set(key, value, std::nothrow, &why);
        error::check("spanspool::config::set", status, why);
        return *this;
    }

    /** The same, with the status. why, if given: receives the sentence that error::what() would hold, empty on OK. */
    [[nodiscard]] spanspool_status set(std::string_view key, std::string_view value, std::nothrow_t,
                                       std::string* why = nullptr) noexcept {
        char text[why_bytes] = "";
        const auto status = with_texts(
            [&](const char* k, const char* v) { return spanspool_config_set(config_.get(), k, v, text, sizeof text); },
            key, value);
        return told(status, text, why);
    }

    /**
     * Sends log lines to log; an empty function takes back an earlier one. log is kept until this config and every client
     * opened from it are gone. It is called from any thread, several at once, and must not call spanspool. What it throws
     * is swallowed. Returns *this. Throws error, or std::bad_alloc.
     */
    config& set_log(log_function log) {
        auto kept = log ? std::make_shared<const log_function>(std::move(log)) : nullptr;
        const auto function = kept ? &config::receive : nullptr;
        auto* user_data = const_cast<log_function*>(kept.get());
        error::check("spanspool::config::set_log", spanspool_config_set_log(config_.get(), function, user_data));
        log_ = std::move(kept);
        return *this;
    }

    /** The settings as the C functions take them; they stay this object's. */
    spanspool_config* get() const noexcept { return config_.get(); }

  private:
    friend class spanspool::client;

    static constexpr std::size_t why_bytes = 1024;

    static spanspool_status told(spanspool_status status, const char* text, std::string* why) noexcept {
        if (why == nullptr) return status;
        try {
            why->assign(text);
        } catch (...) {
            why->clear();
        }
        return status;
    }

    static void receive(std::int32_t level, const char* message, void* user_data) {
        try {
            (*static_cast<const log_function*>(user_data))(level, message);
        } catch (...) {
            // An exception must not travel through the library's frames, and there is nobody to tell.
        }
    }

    std::shared_ptr<const log_function> log_;
    std::unique_ptr<spanspool_config, free_config> config_;
};

/**
 * An open spool with the threads that deliver from it. Move only. Every call but moving and destroying may be made from any
 * thread, several at once. An empty client (made without settings, or moved from) answers SPANSPOOL_ERR_INVALID_ARGUMENT.
 *
 * The destructor shuts down without waiting: what is not delivered stays in the spool, nothing is lost.
 */
class spanspool::client {
  public:
    /** An empty client. */
    client() noexcept = default;

    /** Opens the spool, as spanspool_init does. The settings may be changed or destroyed afterwards. Throws error. */
    explicit client(const config& config) {
        std::string why;
        const auto status = open(config, *this, &why);
        error::check("spanspool::client", status, why);
    }

    /** The same, with the status. On OK the client that out was before is closed; else out is left as it is. */
    [[nodiscard]] static spanspool_status open(const config& config, client& out, std::string* why = nullptr) noexcept {
        char text[config::why_bytes] = "";
        spanspool* handle = nullptr;
        const auto status = spanspool_init(config.get(), &handle, text, sizeof text);
        if (status == SPANSPOOL_OK) out = client(config.log_, handle);
        return config::told(status, text, why);
    }

    client(client&&) noexcept = default;

    client& operator=(client&& other) noexcept {
        if (this == &other) return *this;
        // The old handle must be gone before its log function is.
        const client old(std::move(*this));
        log_ = std::move(other.log_);
        handle_ = std::move(other.handle_);
        return *this;
    }

    /** Whether it is not empty. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    /** Takes one JSON object. When this returns, it is durable as the setting durability says. No network is waited for. */
    void enqueue(std::string_view item) const {
        error::check("spanspool::client::enqueue", enqueue(item, std::nothrow));
    }
    [[nodiscard]] spanspool_status enqueue(std::string_view item, std::nothrow_t) const noexcept {
        return spanspool_enqueue(get(), item.data(), item.size());
    }

    /** As enqueue, for an item to be sent with the key that set_named_key gives under name, before or after this call. */
    void enqueue_as(std::string_view name, std::string_view item) const {
        error::check("spanspool::client::enqueue_as", enqueue_as(name, item, std::nothrow));
    }
    [[nodiscard]] spanspool_status enqueue_as(std::string_view name, std::string_view item,
                                              std::nothrow_t) const noexcept {
        return with_texts([&](const char* n) { return spanspool_enqueue_as(get(), n, item.data(), item.size()); }, name);
    }

    /** Replaces the API key, and tries at once what was waiting for one. It is kept in memory only. */
    void set_api_key(std::string_view key) const {
        error::check("spanspool::client::set_api_key", set_api_key(key, std::nothrow));
    }
    [[nodiscard]] spanspool_status set_api_key(std::string_view key, std::nothrow_t) const noexcept {
        return with_texts([&](const char* k) { return spanspool_set_api_key(get(), k); }, key);
    }

    /** Sets the key for items enqueued under name, those set aside for want of it included. It is kept in memory only. */
    void set_named_key(std::string_view name, std::string_view key) const {
        error::check("spanspool::client::set_named_key", set_named_key(name, key, std::nothrow));
    }
    [[nodiscard]] spanspool_status set_named_key(std::string_view name, std::string_view key,
                                                 std::nothrow_t) const noexcept {
        return with_texts([&](const char* n, const char* k) { return spanspool_set_named_key(get(), n, k); }, name, key);
    }

    /** Says that the network is back: ends a backoff or a hold and tries now. Does not wait. */
    void wake() const { error::check("spanspool::client::wake", wake(std::nothrow)); }
    [[nodiscard]] spanspool_status wake(std::nothrow_t) const noexcept { return spanspool_wake(get()); }

    /** Waits until every item enqueued before is on stable storage, so that a power cut can't take it. */
    void sync() const { error::check("spanspool::client::sync", sync(std::nothrow)); }
    [[nodiscard]] spanspool_status sync(std::nothrow_t) const noexcept { return spanspool_sync(get()); }

    /**
     * Sends at once and waits until every item enqueued before was delivered or rejected.
     *
     * deadline: a std::chrono duration from now, or a time point of any clock; what lies in the past does not wait.
     * SPANSPOOL_ERR_TIMEOUT: the rest stays in the spool and is delivered later.
     */
    template <class Deadline>
    void flush(Deadline deadline) const {
        error::check("spanspool::client::flush", flush(deadline, std::nothrow));
    }
    template <class Deadline>
    [[nodiscard]] spanspool_status flush(Deadline deadline, std::nothrow_t) const noexcept {
        return spanspool_flush(get(), to_ms(deadline));
    }

    /** The counters: accepted = delivered + pending + rejected + all that was dropped, at all times. */
    spanspool_stats stats() const {
        spanspool_stats stats{};
        error::check("spanspool::client::stats", this->stats(stats, std::nothrow));
        return stats;
    }
    [[nodiscard]] spanspool_status stats(spanspool_stats& out, std::nothrow_t) const noexcept {
        return spanspool_get_stats(get(), &out, sizeof out);
    }

    /**
     * Takes no more items, delivers until the deadline (see flush), and stops the threads. From here on every call answers
     * SPANSPOOL_ERR_SHUT_DOWN. SPANSPOOL_ERR_TIMEOUT: stopped, and the rest stays in the spool.
     */
    template <class Deadline>
    void shutdown(Deadline deadline) const {
        error::check("spanspool::client::shutdown", shutdown(deadline, std::nothrow));
    }
    template <class Deadline>
    [[nodiscard]] spanspool_status shutdown(Deadline deadline, std::nothrow_t) const noexcept {
        return spanspool_shutdown(get(), to_ms(deadline));
    }

    /** The handle as the C functions take it; it stays this object's. NULL when it is empty. */
    spanspool* get() const noexcept { return handle_.get(); }

  private:
    client(std::shared_ptr<const log_function> log, spanspool* handle) noexcept
        : log_(std::move(log)), handle_(handle) {}

    // In this order, so that the handle is freed first: until then the log function may be called.
    std::shared_ptr<const log_function> log_;
    std::unique_ptr<spanspool, free_handle> handle_;
};

#endif  // SPANSPOOL_HPP
