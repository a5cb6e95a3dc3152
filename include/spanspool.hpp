/*
 * spanspool.hpp: the C library for C++17. Header only; it needs spanspool.h and the standard library.
 *
 *     spanspool::config config;
 *     config.set("spool_dir", "/var/spool/my-agent");
 *     spanspool::client client(config);                        // throws spanspool::error
 *     client.enqueue(R"({"object":"trace","id":"trace_1"})");  // durable when it returns
 *     client.shutdown(std::chrono::seconds(5));                // what is left by then stays in the spool
 *
 * Everything that spanspool.h says about the promise, threads, fork and settings holds here as well.
 *
 * Errors: a call that does not answer SPANSPOOL_OK throws spanspool::error. A deadline that passed counts as an error.
 * Each such call has an overload that takes std::nothrow, never throws and returns the status, as in
 * `client.enqueue(item, std::nothrow)`. There, running out of memory is SPANSPOOL_ERR_INTERNAL.
 *
 * Texts: std::string_view in UTF-8, copied. An item may hold any byte. In any other text a NUL is
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

namespace spanspool {

/** How serious a log line is. */
enum class log_level : std::int32_t {
    error = SPANSPOOL_LOG_ERROR,
    warn = SPANSPOOL_LOG_WARN,
    info = SPANSPOOL_LOG_INFO,
    debug = SPANSPOOL_LOG_DEBUG,
};

/** What the exporter of a client is doing. */
enum class export_state : std::uint64_t {
    idle = SPANSPOOL_EXPORT_IDLE,
    sending = SPANSPOOL_EXPORT_SENDING,
    backoff = SPANSPOOL_EXPORT_BACKOFF,
    hold = SPANSPOOL_EXPORT_HOLD,
};

/** The export state in a client's counters. */
inline export_state state_of(const spanspool_stats& stats) noexcept {
    return static_cast<export_state>(stats.export_state);
}

/** Receives log lines. */
using log_function = std::function<void(log_level level, std::string_view message)>;

/** What the classes below share; not part of the interface. */
namespace detail {

struct free_config {
    void operator()(spanspool_config* config) const noexcept { spanspool_config_free(config); }
};

struct free_handle {
    void operator()(spanspool_client* handle) const noexcept { spanspool_free(handle); }
};

/** Whether a text holds a NUL, so that C would see only a part of it. */
inline bool has_nul(std::string_view text) noexcept { return text.find('\0') != std::string_view::npos; }

/** Calls f with a NUL-terminated copy of each text. */
template <class F, class... Texts>
spanspool_status with_texts(F f, Texts... texts) noexcept {
    if ((has_nul(texts) || ...)) return SPANSPOOL_ERR_INVALID_ARGUMENT;
    try {
        return f(std::string(texts).c_str()...);
    } catch (...) {
        return SPANSPOOL_ERR_INTERNAL;
    }
}

// Wide enough for the longest duration of any kind, and exact to far below a millisecond.
using wide_ms = std::chrono::duration<long double, std::milli>;

/** Whole milliseconds, rounded up, so that no deadline comes early; 0 for what is past or not a number. */
inline std::uint64_t to_ms(wide_ms timeout) noexcept {
    const long double ms = std::ceil(timeout.count());
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    if (!(ms > 0)) return 0;
    return ms < static_cast<long double>(most) ? static_cast<std::uint64_t>(ms) : most;
}

template <class Clock, class Duration>
std::uint64_t to_ms(std::chrono::time_point<Clock, Duration> deadline) noexcept {
    return to_ms(wide_ms(deadline.time_since_epoch()) - wide_ms(Clock::now().time_since_epoch()));
}

}  // namespace detail

/** A call that did not answer SPANSPOOL_OK. what() says what was wrong, where, and what is allowed. */
class error : public std::runtime_error {
  public:
    error(spanspool_status status, const std::string& what) : std::runtime_error(what), status_(status) {}

    /** What the call answered; never SPANSPOOL_OK. */
    spanspool_status status() const noexcept { return status_; }

  private:
    friend class config;
    friend class client;

    static void check(const char* call, spanspool_status status, const std::string& why = {}) {
        if (status == SPANSPOOL_OK) return;
        throw error(status, std::string(call) + ": " + (why.empty() ? spanspool_status_str(status) : why.c_str()));
    }

    spanspool_status status_;
};

/** Settings, gathered before a client is opened. Move only; for one thread at a time. */
class config {
  public:
    /** All defaults; spool_dir must still be set. Throws error after a defect of spanspool. */
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

    /** The same, with the status. why, if given, receives the sentence that error::what() would hold; empty on OK. */
    [[nodiscard]] spanspool_status set(std::string_view key, std::string_view value, std::nothrow_t,
                                       std::string* why = nullptr) noexcept {
        char text[why_bytes] = "";
        const auto status = detail::with_texts(
            [&](const char* k, const char* v) { return spanspool_config_set(config_.get(), k, v, text, sizeof text); },
            key, value);
        return told(status, text, why);
    }

    /**
     * Sends log lines to log; an empty function takes back an earlier one. This config and every client opened from it
     * keep log alive. Any thread calls it, several at once. It must not call spanspool. What it throws is swallowed.
     * Returns *this. Throws error, or std::bad_alloc.
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
    friend class client;

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
            (*static_cast<const log_function*>(user_data))(static_cast<log_level>(level), message);
        } catch (...) {
            // An exception must not travel through the library's frames, and there is nobody to tell.
        }
    }

    std::shared_ptr<const log_function> log_;
    std::unique_ptr<spanspool_config, detail::free_config> config_;
};

/**
 * An open spool with the threads that deliver from it. Move only. Any thread may make any call but moving and
 * destroying, several at once. An empty client, made without settings or moved from, answers
 * SPANSPOOL_ERR_INVALID_ARGUMENT.
 *
 * The destructor shuts down without waiting: what is not delivered stays in the spool, and nothing is lost.
 */
class client {
  public:
    /** An empty client. */
    client() noexcept = default;

    /** Opens the spool, as spanspool_init does. The settings may be changed or destroyed afterwards. Throws error. */
    explicit client(const config& config) {
        std::string why;
        const auto status = open(config, *this, &why);
        error::check("spanspool::client", status, why);
    }

    /** The same, with the status. On OK the client that out was before is closed; otherwise out is left as it is. */
    [[nodiscard]] static spanspool_status open(const config& config, client& out, std::string* why = nullptr) noexcept {
        char text[config::why_bytes] = "";
        spanspool_client* handle = nullptr;
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

    /** Takes one JSON object, or with exporter=otlp one export request. It is durable, as the setting durability says, when this returns. Waits for no network. */
    void enqueue(std::string_view item) const { check("enqueue", enqueue(item, std::nothrow)); }
    [[nodiscard]] spanspool_status enqueue(std::string_view item, std::nothrow_t) const noexcept {
        return spanspool_enqueue(get(), item.data(), item.size());
    }

    /** As enqueue, for an item to be sent with the key that set_named_key sets for name, before or after this call. Until
     *  then it waits in the rejected store as no_key:NAME, or as key_refused:NAME if the ingest refuses the key. */
    void enqueue_as(std::string_view name, std::string_view item) const {
        check("enqueue_as", enqueue_as(name, item, std::nothrow), name);
    }
    [[nodiscard]] spanspool_status enqueue_as(std::string_view name, std::string_view item,
                                              std::nothrow_t) const noexcept {
        return detail::with_texts(
            [&](const char* n) { return spanspool_enqueue_as(get(), n, item.data(), item.size()); }, name);
    }

    /** Replaces the API key, and tries at once what was waiting for one. The key is kept in memory only. */
    void set_api_key(std::string_view key) const { check("set_api_key", set_api_key(key, std::nothrow), key); }
    [[nodiscard]] spanspool_status set_api_key(std::string_view key, std::nothrow_t) const noexcept {
        return detail::with_texts([&](const char* k) { return spanspool_set_api_key(get(), k); }, key);
    }

    /** Sets the key for items enqueued under name, also for those already set aside, by any process of the spool with
     *  the same destination, as no_key:NAME or key_refused:NAME. The key is kept in memory only. */
    void set_named_key(std::string_view name, std::string_view key) const {
        check("set_named_key", set_named_key(name, key, std::nothrow), name, key);
    }
    [[nodiscard]] spanspool_status set_named_key(std::string_view name, std::string_view key,
                                                 std::nothrow_t) const noexcept {
        return detail::with_texts(
            [&](const char* n, const char* k) { return spanspool_set_named_key(get(), n, k); }, name, key);
    }

    /**
     * Sends nothing until wake: items are taken and durable as before. Meanwhile flush waits as in an outage, and
     * shutdown does not wait.
     */
    void pause() const { check("pause", pause(std::nothrow)); }
    [[nodiscard]] spanspool_status pause(std::nothrow_t) const noexcept { return spanspool_pause(get()); }

    /** Says that the network is back: ends a pause, a backoff or a hold and tries now. Does not wait. */
    void wake() const { check("wake", wake(std::nothrow)); }
    [[nodiscard]] spanspool_status wake(std::nothrow_t) const noexcept { return spanspool_wake(get()); }

    /** Waits until every item enqueued before is on stable storage, where a power cut cannot take it. */
    void sync() const { check("sync", sync(std::nothrow)); }
    [[nodiscard]] spanspool_status sync(std::nothrow_t) const noexcept { return spanspool_sync(get()); }

    /**
     * Sends at once and waits until every item enqueued before was delivered or rejected.
     *
     * deadline: a std::chrono duration from now, or a time point of any clock. One in the past does not wait.
     * SPANSPOOL_ERR_TIMEOUT: the rest stays in the spool and is delivered later.
     */
    template <class Deadline>
    void flush(Deadline deadline) const {
        check("flush", flush(deadline, std::nothrow));
    }
    template <class Deadline>
    [[nodiscard]] spanspool_status flush(Deadline deadline, std::nothrow_t) const noexcept {
        return spanspool_flush(get(), detail::to_ms(deadline));
    }

    /** The counters, as spanspool_get_stats reads them. After shutdown they are the final ones. */
    spanspool_stats stats() const {
        spanspool_stats stats{};
        check("stats", this->stats(stats, std::nothrow));
        return stats;
    }
    [[nodiscard]] spanspool_status stats(spanspool_stats& out, std::nothrow_t) const noexcept {
        return spanspool_get_stats(get(), &out, sizeof out);
    }

    /**
     * Takes no more items, delivers until the deadline (see flush), and stops the threads. From here on every call but
     * stats and last_error answers SPANSPOOL_ERR_SHUT_DOWN.
     * SPANSPOOL_ERR_TIMEOUT: the threads are stopped, and the rest stays in the spool.
     */
    template <class Deadline>
    void shutdown(Deadline deadline) const {
        check("shutdown", shutdown(deadline, std::nothrow));
    }
    template <class Deadline>
    [[nodiscard]] spanspool_status shutdown(Deadline deadline, std::nothrow_t) const noexcept {
        return spanspool_shutdown(get(), detail::to_ms(deadline));
    }

    /**
     * The text of the calling thread's last failed call, as spanspool_last_error gives it; empty when its last call
     * succeeded. It is what error::what() holds, for the overloads that return the status. A text with a NUL never
     * reaches the library, so there is no text for that one error. Throws std::bad_alloc.
     */
    std::string last_error() const {
        std::string text(spanspool_last_error(get(), nullptr, 0), '\0');
        spanspool_last_error(get(), text.data(), text.size() + 1);
        return text;
    }

    /** The handle as the C functions take it; it stays this object's. NULL when the client is empty. */
    spanspool_client* get() const noexcept { return handle_.get(); }

  private:
    client(std::shared_ptr<const log_function> log, spanspool_client* handle) noexcept
        : log_(std::move(log)), handle_(handle) {}

    /** Throws what went wrong in call, which was given these texts. */
    template <class... Texts>
    void check(const char* call, spanspool_status status, Texts... texts) const {
        if (status == SPANSPOOL_OK) return;
        const auto why = (detail::has_nul(texts) || ...) ? "a text holds a NUL" : last_error();
        error::check((std::string("spanspool::client::") + call).c_str(), status, why);
    }

    // In this order, so that the handle is freed first: until then the log function may be called.
    std::shared_ptr<const log_function> log_;
    std::unique_ptr<spanspool_client, detail::free_handle> handle_;
};

}  // namespace spanspool

#endif  // SPANSPOOL_HPP
