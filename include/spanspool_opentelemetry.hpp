/*
 * spanspool_opentelemetry.hpp: opentelemetry-cpp's spans, log records and metrics, durable, for C++17. Header only; it
 * needs spanspool.hpp and opentelemetry-cpp 1.19 or newer, and no protobuf.
 *
 *     #include <opentelemetry/sdk/trace/tracer_provider_factory.h>
 *     #include <spanspool_opentelemetry.hpp>
 *
 *     auto processor = std::make_unique<spanspool::otel::span_processor>("/var/lib/myapp/spool");
 *     auto provider = opentelemetry::sdk::trace::TracerProviderFactory::Create(std::move(processor));
 *     auto span = provider->GetTracer("myapp")->StartSpan("order");
 *     span->End();  // durable when it returns; delivered by OTLP over HTTP
 *
 * Give one of these to the SDK:
 *
 *     span_processor         a TracerProvider     a span is durable when its End returns
 *     log_record_processor   a LoggerProvider     a record is durable when EmitLogRecord returns
 *     span_exporter          a processor          durable when the processor's export returns: with the simple one
 *     log_record_exporter                         when End or EmitLogRecord returns, with a batching one seconds later
 *     metric_exporter        a metric reader      metrics are durable when the reader's export returns
 *
 * Settings: otlp_config gives those of a spool, to be changed before they are handed to a constructor. What is unset is
 * read from OTEL_EXPORTER_OTLP_ENDPOINT and its kin (docs/otlp.md). Each object has a client of its own.
 *
 * Errors: a constructor throws spanspool::error. From then on nothing is thrown, and nothing reaches the caller of End.
 * What can't be stored goes to the SDK's internal log: the first of each kind, and the number of the others once a
 * record is stored again.
 *
 * What arrives equals what the SDK's own OTLP exporter sends, except for these:
 *   - Bytes in a text that are not UTF-8 become U+FFFD; receivers refuse the whole request for them.
 *   - An unsigned number above INT64_MAX becomes a text of its digits, as OpenTelemetry asks. 1.19 makes it negative.
 *   - Bytes among the attributes of a resource or a scope, and the event name of a log record, are sent. 1.19 drops
 *     them.
 *   - A status that is set again has nothing of the one before.
 *
 * Timeouts: ForceFlush and Shutdown wait until all was delivered or rejected. Without a timeout, which is also how a
 * provider's destructor calls them, they wait 10 seconds at most. What is left stays in the spool.
 *
 * Threads: any, several at once. fork: as spanspool.h says.
 */

#ifndef SPANSPOOL_OPENTELEMETRY_HPP
#define SPANSPOOL_OPENTELEMETRY_HPP

#include <spanspool.hpp>

#include <opentelemetry/common/attribute_value.h>
#include <opentelemetry/common/key_value_iterable.h>
#include <opentelemetry/common/timestamp.h>
#include <opentelemetry/logs/severity.h>
#include <opentelemetry/nostd/span.h>
#include <opentelemetry/nostd/string_view.h>
#include <opentelemetry/nostd/variant.h>
#include <opentelemetry/sdk/common/attribute_utils.h>
#include <opentelemetry/sdk/common/exporter_utils.h>
#include <opentelemetry/sdk/common/global_log_handler.h>
#include <opentelemetry/sdk/instrumentationscope/instrumentation_scope.h>
#include <opentelemetry/sdk/logs/exporter.h>
#include <opentelemetry/sdk/logs/processor.h>
#include <opentelemetry/sdk/logs/recordable.h>
#include <opentelemetry/sdk/metrics/data/metric_data.h>
#include <opentelemetry/sdk/metrics/export/metric_producer.h>
#include <opentelemetry/sdk/metrics/push_metric_exporter.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/exporter.h>
#include <opentelemetry/sdk/trace/processor.h>
#include <opentelemetry/sdk/trace/recordable.h>
#include <opentelemetry/trace/span_context.h>
#include <opentelemetry/trace/span_metadata.h>
#include <opentelemetry/trace/trace_state.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace spanspool::otel {

/** What the classes below share; not part of the interface. */
namespace detail {

namespace api = ::opentelemetry;
namespace sdk = ::opentelemetry::sdk;
using api::common::AttributeValue;
using api::common::KeyValueIterable;
using api::common::SystemTimestamp;
using sdk::common::ExportResult;
using sdk::instrumentationscope::InstrumentationScope;
using sdk::resource::Resource;

/** How long a flush or a shutdown waits that has no timeout. It is OTLP's default for a request. */
constexpr std::chrono::microseconds patience = std::chrono::seconds(10);

/** The length of the UTF-8 character at the start of text, or 0 if there is none. */
inline std::size_t character(std::string_view text) noexcept {
    const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    const auto continues = [&](std::size_t at) { return (byte(at) & 0xC0U) == 0x80U; };
    const unsigned first = byte(0), second = byte(1);
    if (first < 0x80) return text.empty() ? 0 : 1;
    if (first < 0xC2 || first > 0xF4 || !continues(1)) return 0;
    if (first < 0xE0) return 2;
    if (!continues(2)) return 0;
    // Neither an overlong form nor a surrogate.
    if (first < 0xF0) return (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ? 0 : 3;
    if (!continues(3)) return 0;
    return (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F) ? 0 : 4;
}

/** How many bytes of text, from its start, are UTF-8. */
inline std::size_t valid_bytes(std::string_view text) noexcept {
    std::size_t at = 0;
    while (at < text.size()) {
        std::uint64_t eight = 0;
        if (text.size() - at >= sizeof eight) {
            std::memcpy(&eight, text.data() + at, sizeof eight);
            if ((eight & 0x8080808080808080U) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        if (static_cast<unsigned char>(text[at]) < 0x80) {
            ++at;
            continue;
        }
        const auto length = character(text.substr(at));
        if (length == 0) return at;
        at += length;
    }
    return at;
}

/** text with U+FFFD in place of each run of bytes that are not UTF-8. */
inline std::string repaired(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto valid = valid_bytes(text);
        out.append(text.substr(0, valid));
        text.remove_prefix(valid);
        if (text.empty()) break;
        out.append("\xEF\xBF\xBD");
        while (!text.empty() && character(text) == 0) text.remove_prefix(1);
    }
    return out;
}

constexpr std::size_t varint_size(std::uint64_t value) noexcept {
    std::size_t size = 1;
    for (; value >= 0x80; value >>= 7) ++size;
    return size;
}

/** Writes value to where there is room for it. Returns what comes after it. */
inline unsigned char* put_varint(unsigned char* to, std::uint64_t value) noexcept {
    for (; value >= 0x80; value >>= 7) *to++ = static_cast<unsigned char>(value | 0x80);
    *to++ = static_cast<unsigned char>(value);
    return to;
}

inline void put_bytes(unsigned char* to, std::string_view bytes) noexcept {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

/**
 * A protobuf message in the making, with room in front for what is known last. Functions that are called some_… leave
 * the field out when it is zero, as proto3 does.
 */
class message {
  public:
    /** room: how many bytes may be prepended without moving the others. */
    explicit message(std::size_t room = 0) : data_(own_), capacity_(sizeof own_), begin_(0), end_(0) {
        if (room > sizeof own_ / 2) {
            move_to(room, sizeof own_);
        } else {
            begin_ = end_ = room;
        }
    }
    ~message() {
        if (data_ != own_) delete[] data_;
    }
    message(const message&) = delete;
    message& operator=(const message&) = delete;

    std::string_view bytes() const noexcept { return {reinterpret_cast<const char*>(data_) + begin_, size()}; }
    std::size_t size() const noexcept { return end_ - begin_; }

    void append(std::string_view bytes) {
        put_bytes(extend(bytes.size()), bytes);
    }

    void prepend(std::string_view bytes) {
        put_bytes(extend_front(bytes.size()), bytes);
    }

    /** Makes all that is in it the contents of a field. */
    void wrap(unsigned field) {
        const auto length = size();
        auto* to = extend_front(varint_size(field << 3) + varint_size(length));
        put_varint(put_varint(to, field << 3 | 2), length);
    }

    /** Takes out what was appended when size() was from, up to when it was to. */
    void erase(std::size_t from, std::size_t to) noexcept {
        std::memmove(data_ + begin_ + from, data_ + begin_ + to, size() - to);
        end_ -= to - from;
    }

    /** Begins a field that is a message, and returns where its contents start, for end. */
    std::size_t begin(unsigned field) {
        auto* to = extend(varint_size(field << 3) + 1);
        *put_varint(to, field << 3 | 2) = 0;  // for the length; most are of one byte
        return end_;
    }

    void end(std::size_t start) {
        const auto length = end_ - start;
        const auto more = varint_size(length) - 1;
        if (more > 0) {
            extend(more);
            std::memmove(data_ + start + more, data_ + start, length);
        }
        put_varint(data_ + start - 1, length);
    }

    void raw(unsigned field, std::string_view bytes) {
        put_field(extend(varint_size(field << 3) + varint_size(bytes.size()) + bytes.size()), field, bytes);
    }

    void text(unsigned field, std::string_view text) {
        if (valid_bytes(text) == text.size()) return raw(field, text);
        raw(field, repaired(text));
    }
    void some_text(unsigned field, std::string_view text) {
        if (!text.empty()) this->text(field, text);
    }

    /** A KeyValue with a text, which most attributes are: all lengths are known before anything is written. */
    void text_attribute(unsigned field, std::string_view key, std::string_view text) {
        const auto in_value = field_size(text), in_key = key.empty() ? 0 : field_size(key);
        const auto in_attribute = in_key + 1 + varint_size(in_value) + in_value;
        auto* to = extend(1 + varint_size(in_attribute) + in_attribute);
        to = put_varint(put_varint(to, field << 3 | 2), in_attribute);
        if (!key.empty()) to = put_field(to, 1, key);
        to = put_varint(put_varint(to, 2 << 3 | 2), in_value);
        put_field(to, 1, text);
    }

    void number(unsigned field, std::uint64_t value) {
        auto* to = extend(field_bytes);
        // What the number did not need is given back.
        end_ -= field_bytes - static_cast<std::size_t>(put_varint(put_varint(to, field << 3), value) - to);
    }
    void some_number(unsigned field, std::uint64_t value) {
        if (value != 0) number(field, value);
    }

    void fixed32(unsigned field, std::uint32_t value) { fixed(field << 3 | 5, value); }
    void fixed64(unsigned field, std::uint64_t value) { fixed(field << 3 | 1, value); }
    void some_fixed32(unsigned field, std::uint32_t value) {
        if (value != 0) fixed32(field, value);
    }
    void some_fixed64(unsigned field, std::uint64_t value) {
        if (value != 0) fixed64(field, value);
    }
    void real(unsigned field, double value) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        fixed64(field, bits);
    }

    /** A packed list of numbers of eight bytes. */
    template <class List>
    void packed(unsigned field, const List& list) {
        if (list.empty()) return;
        const auto start = begin(field);
        for (const auto each : list) {
            static_assert(sizeof each == 8);
            std::uint64_t bits = 0;
            std::memcpy(&bits, &each, sizeof bits);
            little_endian(extend(sizeof bits), bits);
        }
        end(start);
    }

  private:
    // A tag and a varint at their longest.
    static constexpr std::size_t field_bytes = 5 + 10;

    /** The size of a field with a number below 16. */
    static std::size_t field_size(std::string_view bytes) noexcept {
        return 1 + varint_size(bytes.size()) + bytes.size();
    }

    static unsigned char* put_field(unsigned char* to, unsigned field, std::string_view bytes) noexcept {
        to = put_varint(put_varint(to, field << 3 | 2), bytes.size());
        put_bytes(to, bytes);
        return to + bytes.size();
    }

    template <class Number>
    static void little_endian(unsigned char* to, Number value) noexcept {
        for (std::size_t at = 0; at < sizeof value; ++at) to[at] = static_cast<unsigned char>(value >> (8 * at));
    }

    template <class Number>
    void fixed(std::uint64_t tag, Number value) {
        little_endian(put_varint(extend(varint_size(tag) + sizeof value), tag), value);
    }

    /** Room for count more bytes at the end, which are in it from now on. */
    unsigned char* extend(std::size_t count) {
        if (capacity_ - end_ < count) move_to(begin_, count);
        end_ += count;
        return data_ + end_ - count;
    }

    /** The same at the front. */
    unsigned char* extend_front(std::size_t count) {
        if (begin_ < count) move_to(count + 64, 0);
        begin_ -= count;
        return data_ + begin_;
    }

    /** Moves all to a larger buffer, with front bytes of room before and back bytes of room after. */
    void move_to(std::size_t front, std::size_t back) {
        const auto length = size();
        const auto capacity = front + 2 * (length + back);
        auto* data = new unsigned char[capacity];
        std::memcpy(data + front, data_ + begin_, length);
        if (data_ != own_) delete[] data_;
        data_ = data;
        capacity_ = capacity;
        begin_ = front;
        end_ = front + length;
    }

    unsigned char* data_;
    std::size_t capacity_, begin_, end_;
    // With this, most records are one allocation of a size that allocators are fast with.
    unsigned char own_[800];
};

inline std::string_view view(api::nostd::string_view text) noexcept { return {text.data(), text.size()}; }

/** Appends the contents of an AnyValue; a visitor of the SDK's attribute values, owned or not. */
struct any_value {
    message& out;

    void operator()(bool value) const { out.number(2, value ? 1 : 0); }
    void operator()(std::int64_t value) const { out.number(3, static_cast<std::uint64_t>(value)); }
    void operator()(std::int32_t value) const { (*this)(std::int64_t{value}); }
    void operator()(std::uint32_t value) const { (*this)(std::int64_t{value}); }
    void operator()(std::uint64_t value) const {
        if (value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) return out.text(1, std::to_string(value));
        (*this)(static_cast<std::int64_t>(value));
    }
    void operator()(double value) const { out.real(4, value); }
    void operator()(const char* value) const { out.text(1, value); }
    void operator()(std::string_view value) const { out.text(1, value); }
    void operator()(const std::string& value) const { out.text(1, value); }
    template <class Text, std::enable_if_t<std::is_same_v<Text, api::nostd::string_view> &&
                                               !std::is_same_v<Text, std::string_view>, int> = 0>
    void operator()(Text value) const { out.text(1, view(value)); }

    template <class Each, std::size_t N>
    void operator()(api::nostd::span<const Each, N> list) const { array<Each>(list); }
    template <class Each>
    void operator()(const std::vector<Each>& list) const { array<Each>(list); }

  private:
    template <class Each, class List>
    void array(const List& list) const {
        const auto start = out.begin(5);
        for (const auto& each : list) {
            const auto inner = out.begin(1);
            if constexpr (std::is_same_v<Each, std::uint8_t>) {
                (*this)(std::int64_t{each});
            } else {
                (*this)(static_cast<const Each&>(each));
            }
            out.end(inner);
        }
        out.end(start);
    }
};

template <class Value>
void append_value(message& out, unsigned field, const Value& value) {
    const auto start = out.begin(field);
    api::nostd::visit(any_value{out}, value);
    out.end(start);
}

/** The text in a value that is one. */
inline std::optional<std::string_view> text_of(const AttributeValue& value) {
    if (const auto* text = api::nostd::get_if<const char*>(&value)) return std::string_view(*text);
    if (const auto* text = api::nostd::get_if<api::nostd::string_view>(&value)) return view(*text);
    return std::nullopt;
}
inline std::optional<std::string_view> text_of(const sdk::common::OwnedAttributeValue& value) {
    const auto* text = api::nostd::get_if<std::string>(&value);
    return text != nullptr ? std::optional<std::string_view>(*text) : std::nullopt;
}

template <class Value>
void append_attribute(message& out, unsigned field, std::string_view key, const Value& value) {
    const auto text = text_of(value);
    if (text && valid_bytes(*text) == text->size() && valid_bytes(key) == key.size()) {
        return out.text_attribute(field, key, *text);
    }
    const auto start = out.begin(field);
    out.some_text(1, key);
    append_value(out, 2, value);
    out.end(start);
}

inline void append_attributes(message& out, unsigned field, const KeyValueIterable& attributes) {
    attributes.ForEachKeyValue([&](api::nostd::string_view key, AttributeValue value) noexcept {
        append_attribute(out, field, view(key), value);
        return true;
    });
}

/** The SDK's own maps. */
template <class Map>
void append_map(message& out, unsigned field, const Map& attributes) {
    for (const auto& each : attributes) append_attribute(out, field, each.first, each.second);
}

inline std::uint64_t nanoseconds(SystemTimestamp time) noexcept {
    return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

template <std::size_t N>
std::string_view view(api::nostd::span<const std::uint8_t, N> id) noexcept {
    return {reinterpret_cast<const char*>(id.data()), id.size()};
}

/**
 * What an export request has around the records of one scope. The three signals have the same form and the same numbers
 * of fields.
 */
class envelope {
  public:
    envelope(const Resource& resource, const InstrumentationScope& scope)
        : resource_address_(&resource), scope_address_(&scope), resource_(resource), scope_(scope) {
        message of_resource;
        append_map(of_resource, 1, resource.GetAttributes());
        of_resource.wrap(1);
        front_resource_ = of_resource.bytes();
        message of_scope;
        of_scope.some_text(1, scope.GetName());
        of_scope.some_text(2, scope.GetVersion());
        append_map(of_scope, 3, scope.GetAttributes());
        of_scope.wrap(1);
        front_scope_ = of_scope.bytes();
        back_resource_ = url(resource.GetSchemaURL());
        back_scope_ = url(scope.GetSchemaURL());
    }

    /** Whether it is for these. They may be others at the same addresses. */
    bool is_of(const Resource& resource, const InstrumentationScope& scope) const {
        return resource_address_ == &resource && scope_address_ == &scope && scope_.GetName() == scope.GetName() &&
               scope_.GetVersion() == scope.GetVersion() && scope_.GetSchemaURL() == scope.GetSchemaURL() &&
               resource_.GetSchemaURL() == resource.GetSchemaURL() &&
               are_same(scope_.GetAttributes(), scope.GetAttributes()) &&
               are_same(resource_.GetAttributes(), resource.GetAttributes());
    }

    /** How many bytes close prepends at most, with the record's own tag and length. */
    std::size_t room() const noexcept { return front_resource_.size() + front_scope_.size() + 3 * (1 + 10); }

    /** Makes records, in fields of their own, a request. */
    void close(message& records) const {
        records.append(back_scope_);
        records.prepend(front_scope_);
        records.wrap(2);
        records.append(back_resource_);
        records.prepend(front_resource_);
        records.wrap(1);
    }

  private:
    static std::string url(const std::string& url) {
        message of_url;
        of_url.some_text(3, url);
        return std::string(of_url.bytes());
    }

    /** A copy iterates in the order of its original. Another order costs a new envelope, and is no mistake. */
    template <class Map>
    static bool are_same(const Map& ours, const Map& theirs) {
        return ours.size() == theirs.size() && std::equal(ours.begin(), ours.end(), theirs.begin());
    }

    friend class envelopes;

    const Resource* resource_address_;
    const InstrumentationScope* scope_address_;
    Resource resource_;
    InstrumentationScope scope_;
    std::string front_resource_, front_scope_, back_scope_, back_resource_;
    envelope* next_ = nullptr;
};

/** Those met so far, for making one takes longer than making a span. None is freed before all are: no reader locks. */
class envelopes {
  public:
    envelopes() = default;
    envelopes(const envelopes&) = delete;
    envelopes& operator=(const envelopes&) = delete;
    ~envelopes() {
        for (auto& chain : chains_) {
            for (auto* each = chain.load(); each != nullptr;) delete std::exchange(each, each->next_);
        }
    }

    /** The one for these, which spare owns if there are too many already. */
    const envelope& of(const Resource& resource, const InstrumentationScope& scope, std::unique_ptr<envelope>& spare) {
        auto& chain = chains_[(reinterpret_cast<std::uintptr_t>(&scope) >> 4) % chains_.size()];
        for (const auto* each = chain.load(std::memory_order_acquire); each != nullptr; each = each->next_) {
            if (each->is_of(resource, scope)) return *each;
        }
        spare = std::make_unique<envelope>(resource, scope);
        if (count_.fetch_add(1, std::memory_order_relaxed) >= most) return *spare;
        auto* made = spare.release();
        made->next_ = chain.load(std::memory_order_relaxed);
        while (!chain.compare_exchange_weak(made->next_, made, std::memory_order_release, std::memory_order_relaxed)) {
        }
        return *made;
    }

  private:
    // More than a program has. It is a limit for those that make scopes as they go.
    static constexpr std::size_t most = 256;

    std::array<std::atomic<envelope*>, 64> chains_{};
    std::atomic<std::size_t> count_{0};
};

/** Records that could not be stored since one was. A full spool refuses thousands a second, so the log is spared. */
class losses {
  public:
    void stored() noexcept {
        if (any_.load(std::memory_order_relaxed)) tell();
    }

    void lost(spanspool_status status, const std::string& why) {
        const std::lock_guard<std::mutex> lock(mutex_);
        any_.store(true, std::memory_order_relaxed);
        const auto kind = static_cast<std::size_t>(status) % told_.size();
        if (told_[kind]) {
            ++untold_;
            return;
        }
        told_.set(kind);
        log("[spanspool] a record was not stored: " + why);
    }

    /** Begins again, and says how many were not told. */
    void tell() noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        any_.store(false, std::memory_order_relaxed);
        told_.reset();
        const auto untold = std::exchange(untold_, 0);
        if (untold > 0) log("[spanspool] " + std::to_string(untold) + " more records were not stored");
    }

  private:
    /** With attributes, though there are none: without, the macro is not standard C++. */
    static void log(const std::string& line) { OTEL_INTERNAL_LOG_ERROR(line, sdk::common::AttributeMap()); }

    std::atomic<bool> any_{false};
    std::mutex mutex_;
    std::bitset<128> told_;
    std::uint64_t untold_ = 0;
};

/** What every processor and exporter has: the client of one signal. */
class plug {
  public:
    plug(const char* signal, config& settings)
        : client_(settings.set("exporter", "otlp").set("signal", signal)) {}

    const spanspool::client& client() const noexcept { return client_; }

    /** How many bytes should be left free in front of a record. */
    std::size_t room() const noexcept { return room_.load(std::memory_order_relaxed); }

    /** Stores records, each in a field of its own, as one item. */
    ExportResult store(message& records, const Resource* resource, const InstrumentationScope* scope) noexcept {
        static const auto no_scope = InstrumentationScope::Create("");
        std::unique_ptr<envelope> spare;
        const auto& around = envelopes_.of(resource != nullptr ? *resource : Resource::GetEmpty(),
                                           scope != nullptr ? *scope : *no_scope, spare);
        if (room() != around.room()) room_.store(around.room(), std::memory_order_relaxed);
        around.close(records);
        const auto status = client_.enqueue(records.bytes(), std::nothrow);
        if (status == SPANSPOOL_OK) {
            losses_.stored();
            return ExportResult::kSuccess;
        }
        losses_.lost(status, client_.last_error());
        switch (status) {
            case SPANSPOOL_ERR_FULL: return ExportResult::kFailureFull;
            case SPANSPOOL_ERR_INVALID_ITEM:
            case SPANSPOOL_ERR_ITEM_TOO_LARGE: return ExportResult::kFailureInvalidArgument;
            default: return ExportResult::kFailure;
        }
    }

    /** Says that a record is lost because its kind is not known here. */
    ExportResult unknown(const std::string& what) noexcept {
        losses_.lost(SPANSPOOL_ERR_INVALID_ITEM, what + ": points of this kind are not encoded");
        return ExportResult::kFailureInvalidArgument;
    }

    /** Whether all was delivered or rejected in time. */
    bool flush(std::chrono::microseconds timeout) noexcept {
        const auto status = client_.flush(limited(timeout), std::nothrow);
        return status == SPANSPOOL_OK || status == SPANSPOOL_ERR_SHUT_DOWN;
    }

    /** The same. A second shutdown waits for the first and returns the same. */
    bool shutdown(std::chrono::microseconds timeout) noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!shut_down_) {
            shut_down_ = client_.shutdown(limited(timeout), std::nothrow) == SPANSPOOL_OK;
            losses_.tell();
        }
        return *shut_down_;
    }

  private:
    /** Without a timeout the SDK gives the longest one, or what is left of it in some unit. */
    static std::chrono::microseconds limited(std::chrono::microseconds timeout) noexcept {
        return timeout > std::chrono::hours(24) ? patience : timeout;
    }

    spanspool::client client_;
    envelopes envelopes_;
    losses losses_;
    std::atomic<std::size_t> room_{256};
    std::mutex mutex_;
    std::optional<bool> shut_down_;
};

/** A span, as the bytes of its message. What may be set more than once is kept until the span ends. */
class span_recordable final : public sdk::trace::Recordable {
  public:
    explicit span_recordable(std::size_t room) : message_(room) {}

    void SetIdentity(const api::trace::SpanContext& self, api::trace::SpanId parent) noexcept override {
        trace_id_ = self.trace_id();
        span_id_ = self.span_id();
        parent_id_ = parent;
        flags_ = self.trace_flags();
        trace_state_ = self.trace_state()->ToHeader();
    }
    void SetTraceFlags(api::trace::TraceFlags flags) noexcept override { flags_ = flags; }
    void SetName(api::nostd::string_view name) noexcept override {
        message_.erase(name_begin_, name_end_);
        name_begin_ = message_.size();
        message_.some_text(5, view(name));
        name_end_ = message_.size();
    }
    void SetSpanKind(api::trace::SpanKind kind) noexcept override { kind_ = kind; }
    void SetStartTime(SystemTimestamp start) noexcept override { start_ = nanoseconds(start); }
    void SetDuration(std::chrono::nanoseconds duration) noexcept override {
        end_ = start_ + static_cast<std::uint64_t>(duration.count());
    }
    void SetStatus(api::trace::StatusCode code, api::nostd::string_view description) noexcept override {
        status_ = code;
        description_ = code == api::trace::StatusCode::kError ? view(description) : std::string_view();
    }
    void SetResource(const Resource& resource) noexcept override { resource_ = &resource; }
    void SetInstrumentationScope(const InstrumentationScope& scope) noexcept override { scope_ = &scope; }
    void SetAttribute(api::nostd::string_view key, const AttributeValue& value) noexcept override {
        append_attribute(message_, 9, view(key), value);
    }
    void AddEvent(api::nostd::string_view name, SystemTimestamp time,
                  const KeyValueIterable& attributes) noexcept override {
        const auto start = message_.begin(11);
        message_.some_fixed64(1, nanoseconds(time));
        message_.some_text(2, view(name));
        append_attributes(message_, 3, attributes);
        message_.end(start);
    }
    void AddLink(const api::trace::SpanContext& other, const KeyValueIterable& attributes) noexcept override {
        const auto start = message_.begin(13);
        message_.raw(1, view(other.trace_id().Id()));
        message_.raw(2, view(other.span_id().Id()));
        message_.some_text(3, other.trace_state()->ToHeader());
        append_attributes(message_, 4, attributes);
        message_.end(start);
    }

    bool is_sampled() const noexcept { return flags_.IsSampled(); }

    /** Stores it, once. */
    ExportResult store(plug& plug) noexcept {
        message_.raw(1, view(trace_id_.Id()));
        message_.raw(2, view(span_id_.Id()));
        message_.some_text(3, trace_state_);
        if (parent_id_.IsValid()) message_.raw(4, view(parent_id_.Id()));
        message_.number(6, static_cast<std::uint64_t>(kind_) + 1);
        message_.some_fixed64(7, start_);
        message_.some_fixed64(8, end_);
        if (status_) {
            const auto start = message_.begin(15);
            message_.some_text(2, description_);
            message_.some_number(3, static_cast<std::uint64_t>(*status_));
            message_.end(start);
        }
        message_.some_fixed32(16, flags_.flags());
        message_.wrap(2);
        return plug.store(message_, resource_, scope_);
    }

  private:
    message message_;
    std::size_t name_begin_ = 0, name_end_ = 0;
    api::trace::TraceId trace_id_;
    api::trace::SpanId span_id_, parent_id_;
    api::trace::TraceFlags flags_;
    api::trace::SpanKind kind_ = api::trace::SpanKind::kInternal;
    std::optional<api::trace::StatusCode> status_;
    std::uint64_t start_ = 0, end_ = 0;
    const Resource* resource_ = nullptr;
    const InstrumentationScope* scope_ = nullptr;
    std::string description_, trace_state_;
};

/** A log record, likewise. */
class log_recordable final : public sdk::logs::Recordable {
  public:
    explicit log_recordable(std::size_t room) : message_(room) {}

    void SetTimestamp(SystemTimestamp time) noexcept override { time_ = nanoseconds(time); }
    void SetObservedTimestamp(SystemTimestamp time) noexcept override { observed_ = nanoseconds(time); }
    void SetSeverity(api::logs::Severity severity) noexcept override { severity_ = severity; }
    void SetBody(const AttributeValue& body) noexcept override {
        message_.erase(body_begin_, body_end_);
        body_begin_ = message_.size();
        append_value(message_, 5, body);
        body_end_ = message_.size();
    }
    void SetEventId(std::int64_t, api::nostd::string_view name) noexcept override { event_name_ = view(name); }
    void SetTraceId(const api::trace::TraceId& id) noexcept override { trace_id_ = id; }
    void SetSpanId(const api::trace::SpanId& id) noexcept override { span_id_ = id; }
    void SetTraceFlags(const api::trace::TraceFlags& flags) noexcept override { flags_ = flags; }
    void SetAttribute(api::nostd::string_view key, const AttributeValue& value) noexcept override {
        append_attribute(message_, 6, view(key), value);
    }
    void SetResource(const Resource& resource) noexcept override { resource_ = &resource; }
    void SetInstrumentationScope(const InstrumentationScope& scope) noexcept override { scope_ = &scope; }

    /** Stores it, once. */
    ExportResult store(plug& plug) noexcept {
        message_.some_fixed64(1, time_);
        if (severity_) {
            const auto number = static_cast<std::size_t>(*severity_);
            const bool is_known = number < sizeof api::logs::SeverityNumToText / sizeof *api::logs::SeverityNumToText;
            message_.some_number(2, is_known ? number : 0);
            message_.text(3, view(api::logs::SeverityNumToText[is_known ? number : 0]));
        }
        message_.some_fixed32(8, flags_.flags());
        if (trace_id_.IsValid()) message_.raw(9, view(trace_id_.Id()));
        if (span_id_.IsValid()) message_.raw(10, view(span_id_.Id()));
        message_.some_fixed64(11, observed_);
        message_.some_text(12, event_name_);
        message_.wrap(2);
        return plug.store(message_, resource_, scope_);
    }

  private:
    message message_;
    std::size_t body_begin_ = 0, body_end_ = 0;
    std::uint64_t time_ = 0, observed_ = 0;
    std::optional<api::logs::Severity> severity_;
    api::trace::TraceId trace_id_;
    api::trace::SpanId span_id_;
    api::trace::TraceFlags flags_;
    const Resource* resource_ = nullptr;
    const InstrumentationScope* scope_ = nullptr;
    std::string event_name_;
};

/** What collects in a metric reader, as the bytes of a Metric; a visitor of the SDK's points. */
class metric_encoder {
  public:
    metric_encoder(message& out, const sdk::metrics::MetricData& metric) : out_(out), metric_(metric) {}

    /** Whether the SDK has nothing to tell of it. */
    bool is_empty() const noexcept {
        return metric_.point_data_attr_.empty() || api::nostd::holds_alternative<sdk::metrics::DropPointData>(
                                                       metric_.point_data_attr_.front().point_data);
    }

    /** Appends the metric; false and nothing if its points are of no kind that is known here. */
    bool append(unsigned field) {
        const auto before = out_.size();
        const auto start = out_.begin(field);
        const auto& described = metric_.instrument_descriptor;
        out_.some_text(1, described.name_);
        out_.some_text(2, described.description_);
        out_.some_text(3, described.unit_);
        if (!points()) {
            out_.erase(before, out_.size());
            return false;
        }
        out_.end(start);
        return true;
    }

  private:
    using sum_point = sdk::metrics::SumPointData;
    using gauge_point = sdk::metrics::LastValuePointData;
    using histogram_point = sdk::metrics::HistogramPointData;

    bool points() {
        if (metric_.point_data_attr_.empty()) return false;
        const auto& first = metric_.point_data_attr_.front().point_data;
        if (api::nostd::holds_alternative<gauge_point>(first)) return points_of<gauge_point>(5);
        if (api::nostd::holds_alternative<sum_point>(first)) return points_of<sum_point>(7);
        if (api::nostd::holds_alternative<histogram_point>(first)) return points_of<histogram_point>(9);
        return false;
    }

    template <class Point>
    bool points_of(unsigned field) {
        const auto start = out_.begin(field);
        for (const auto& each : metric_.point_data_attr_) {
            const auto* data = api::nostd::get_if<Point>(&each.point_data);
            if (data == nullptr) continue;
            const auto inner = out_.begin(1);
            out_.some_fixed64(2, nanoseconds(metric_.start_ts));
            out_.some_fixed64(3, nanoseconds(metric_.end_ts));
            point(*data, each.attributes);
            out_.end(inner);
        }
        finish(static_cast<const Point*>(nullptr));
        out_.end(start);
        return true;
    }

    template <class Attributes>
    void point(const sum_point& data, const Attributes& attributes) {
        value(data.value_);
        append_map(out_, 7, attributes);
    }
    template <class Attributes>
    void point(const gauge_point& data, const Attributes& attributes) {
        value(data.value_);
        append_map(out_, 7, attributes);
    }
    template <class Attributes>
    void point(const histogram_point& data, const Attributes& attributes) {
        out_.some_fixed64(4, data.count_);
        out_.real(5, real(data.sum_));
        out_.packed(6, data.counts_);
        out_.packed(7, data.boundaries_);
        append_map(out_, 9, attributes);
        if (!data.record_min_max_) return;
        out_.real(11, real(data.min_));
        out_.real(12, real(data.max_));
    }

    void finish(const gauge_point*) {}
    void finish(const histogram_point*) { out_.some_number(2, temporality()); }
    void finish(const sum_point*) {
        out_.some_number(2, temporality());
        const auto type = metric_.instrument_descriptor.type_;
        const bool is_monotonic = type == sdk::metrics::InstrumentType::kCounter ||
                                  type == sdk::metrics::InstrumentType::kObservableCounter;
        out_.some_number(3, is_monotonic ? 1 : 0);
    }

    std::uint64_t temporality() const noexcept {
        switch (metric_.aggregation_temporality) {
            case sdk::metrics::AggregationTemporality::kDelta: return 1;
            case sdk::metrics::AggregationTemporality::kCumulative: return 2;
            default: return 0;
        }
    }

    void value(const sdk::metrics::ValueType& value) {
        if (const auto* integer = api::nostd::get_if<std::int64_t>(&value)) {
            return out_.fixed64(6, static_cast<std::uint64_t>(*integer));
        }
        out_.real(4, real(value));
    }

    static double real(const sdk::metrics::ValueType& value) {
        return api::nostd::visit([](auto number) { return static_cast<double>(number); }, value);
    }

    message& out_;
    const sdk::metrics::MetricData& metric_;
};

/** What OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE chooses. Throws error if that is none of its choices. */
inline sdk::metrics::AggregationTemporalitySelector preferred_temporality() {
    using sdk::metrics::AggregationTemporality;
    using sdk::metrics::InstrumentType;
    constexpr auto variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    const char* set = std::getenv(variable);
    std::string choice = set != nullptr && *set != '\0' ? set : "cumulative";
    for (auto& letter : choice) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    if (choice == "cumulative") return [](InstrumentType) { return AggregationTemporality::kCumulative; };
    const bool low_memory = choice == "lowmemory";
    if (!low_memory && choice != "delta") {
        throw error(SPANSPOOL_ERR_INVALID_ARGUMENT, std::string(variable) + " is '" + choice +
                                                        "'; it must be cumulative, delta or lowmemory");
    }
    return [low_memory](InstrumentType type) {
        const bool is_delta = type == InstrumentType::kCounter || type == InstrumentType::kHistogram ||
                              (type == InstrumentType::kObservableCounter && !low_memory);
        return is_delta ? AggregationTemporality::kDelta : AggregationTemporality::kCumulative;
    };
}

/** The part of the SDK's interfaces that is the same for all of them. */
template <class Base>
class plugged : public Base {
  public:
    /** For its counters, its keys, or to wake it. It lives as long as this object; Shutdown shuts it down. */
    const spanspool::client& client() const noexcept { return plug_.client(); }

    /** Sends at once. Returns whether everything stored before was delivered or rejected in time. */
    bool ForceFlush(std::chrono::microseconds timeout = std::chrono::microseconds::max()) noexcept final {
        return plug_.flush(timeout);
    }

    /** Stores no more, and delivers. Returns whether that was done in time; else the rest stays in the spool. */
    bool Shutdown(std::chrono::microseconds timeout = std::chrono::microseconds::max()) noexcept final {
        return plug_.shutdown(timeout);
    }

  protected:
    plugged(const char* signal, config& settings) : plug_(signal, settings) {}

    plug plug_;
};

/** The same for what records are made in. */
template <class Base, class Interface, class Recordable>
class recording : public plugged<Base> {
  public:
    std::unique_ptr<Interface> MakeRecordable() noexcept final {
        return std::unique_ptr<Interface>(new (std::nothrow) Recordable(this->plug_.room()));
    }

  protected:
    using plugged<Base>::plugged;

    /** Stores a record that MakeRecordable made. */
    ExportResult store(Interface& record) noexcept { return static_cast<Recordable&>(record).store(this->plug_); }

    /** Stores each as an item of its own. Returns what became of the first that could not be stored. */
    ExportResult store_all(const api::nostd::span<std::unique_ptr<Interface>>& records) noexcept {
        auto result = ExportResult::kSuccess;
        for (auto& record : records) {
            if (record == nullptr) continue;
            const auto one = store(*record);
            if (result == ExportResult::kSuccess) result = one;
        }
        return result;
    }
};

using span_processor_base = recording<sdk::trace::SpanProcessor, sdk::trace::Recordable, span_recordable>;
using span_exporter_base = recording<sdk::trace::SpanExporter, sdk::trace::Recordable, span_recordable>;
using log_processor_base = recording<sdk::logs::LogRecordProcessor, sdk::logs::Recordable, log_recordable>;
using log_exporter_base = recording<sdk::logs::LogRecordExporter, sdk::logs::Recordable, log_recordable>;

}  // namespace detail

/**
 * The settings for spool_dir, with the User-Agent of this header. The exporter is set, so that headers of all kinds can
 * be, and validation is none: what this header encodes is a request. One config may serve several constructors. Throws
 * spanspool::error.
 */
inline config otlp_config(std::string_view spool_dir) {
    config made;
    const std::string version = spanspool_version();
    made.set("spool_dir", spool_dir).set("exporter", "otlp").set("validation", "none");
    made.set("header.User-Agent", "spanspool-opentelemetry-cpp/" + version + " spanspool/" + version +
                                      " OTel-OTLP-Exporter-Cpp/" + version);
    return made;
}

/** Stores each sampled span when its End returns. */
class span_processor final : public detail::span_processor_base {
  public:
    /** Opens the spool in spool_dir. Throws spanspool::error. */
    explicit span_processor(std::string_view spool_dir) : span_processor(otlp_config(spool_dir)) {}

    /** Opens the spool that the settings name; it sets their exporter and signal. Throws spanspool::error. */
    explicit span_processor(config& settings) : recording("traces", settings) {}
    explicit span_processor(config&& settings) : span_processor(settings) {}

    void OnStart(::opentelemetry::sdk::trace::Recordable&,
                 const ::opentelemetry::trace::SpanContext&) noexcept override {}

    void OnEnd(std::unique_ptr<::opentelemetry::sdk::trace::Recordable>&& span) noexcept override {
        if (span != nullptr && static_cast<detail::span_recordable&>(*span).is_sampled()) store(*span);
    }
};

/** Stores the spans that a processor of the SDK's exports. What a batching processor holds is lost with the process. */
class span_exporter final : public detail::span_exporter_base {
  public:
    /** As those of span_processor. */
    explicit span_exporter(std::string_view spool_dir) : span_exporter(otlp_config(spool_dir)) {}
    explicit span_exporter(config& settings) : recording("traces", settings) {}
    explicit span_exporter(config&& settings) : span_exporter(settings) {}

    /** The result is of the first span that could not be stored; the others are. */
    ::opentelemetry::sdk::common::ExportResult Export(
        const ::opentelemetry::nostd::span<std::unique_ptr<::opentelemetry::sdk::trace::Recordable>>& spans) noexcept
        override {
        return store_all(spans);
    }
};

/** Stores each log record when EmitLogRecord returns. */
class log_record_processor final : public detail::log_processor_base {
  public:
    /** As those of span_processor. */
    explicit log_record_processor(std::string_view spool_dir) : log_record_processor(otlp_config(spool_dir)) {}
    explicit log_record_processor(config& settings) : recording("logs", settings) {}
    explicit log_record_processor(config&& settings) : log_record_processor(settings) {}

    void OnEmit(std::unique_ptr<::opentelemetry::sdk::logs::Recordable>&& record) noexcept override {
        if (record != nullptr) store(*record);
    }
};

/** Stores the log records that a processor of the SDK's exports, as span_exporter does. */
class log_record_exporter final : public detail::log_exporter_base {
  public:
    /** As those of span_processor. */
    explicit log_record_exporter(std::string_view spool_dir) : log_record_exporter(otlp_config(spool_dir)) {}
    explicit log_record_exporter(config& settings) : recording("logs", settings) {}
    explicit log_record_exporter(config&& settings) : log_record_exporter(settings) {}

    /** The result is of the first record that could not be stored; the others are. */
    ::opentelemetry::sdk::common::ExportResult Export(
        const ::opentelemetry::nostd::span<std::unique_ptr<::opentelemetry::sdk::logs::Recordable>>& records) noexcept
        override {
        return store_all(records);
    }
};

/**
 * Stores what a metric reader collects when its export returns: the metrics of one scope as an item, or several if they
 * are long. Exponential histograms, which 1.19 does not have, are not encoded: the SDK's log and the result say so.
 *
 * Prefer cumulative temporality, the default: delivery is at least once, and a request that arrives twice counts a
 * delta twice.
 */
class metric_exporter final : public detail::plugged<::opentelemetry::sdk::metrics::PushMetricExporter> {
  public:
    /**
     * As those of span_processor. temporality says which one each kind of instrument has; without it
     * OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE does (cumulative, delta or lowmemory).
     */
    explicit metric_exporter(std::string_view spool_dir,
                             ::opentelemetry::sdk::metrics::AggregationTemporalitySelector temporality = {})
        : metric_exporter(otlp_config(spool_dir), std::move(temporality)) {}
    explicit metric_exporter(config& settings,
                             ::opentelemetry::sdk::metrics::AggregationTemporalitySelector temporality = {})
        : plugged("metrics", settings),
          temporality_(temporality ? std::move(temporality) : detail::preferred_temporality()) {}
    explicit metric_exporter(config&& settings,
                             ::opentelemetry::sdk::metrics::AggregationTemporalitySelector temporality = {})
        : metric_exporter(settings, std::move(temporality)) {}

    ::opentelemetry::sdk::metrics::AggregationTemporality GetAggregationTemporality(
        ::opentelemetry::sdk::metrics::InstrumentType type) const noexcept override {
        return temporality_(type);
    }

    /** The result is of the first item that could not be stored; the others are. */
    ::opentelemetry::sdk::common::ExportResult Export(
        const ::opentelemetry::sdk::metrics::ResourceMetrics& collected) noexcept override {
        auto result = detail::ExportResult::kSuccess;
        for (const auto& scope : collected.scope_metric_data_) {
            std::size_t next = 0;
            while (next < scope.metric_data_.size()) {
                const auto one = store_some(collected.resource_, scope, next);
                if (result == detail::ExportResult::kSuccess) result = one;
            }
        }
        return result;
    }

  private:
    // An item with more bytes gets no further metric: a request can be cut only between items.
    static constexpr std::size_t most = 256 << 10;

    /** Stores metrics from the next one on, as one item. */
    detail::ExportResult store_some(const detail::Resource* resource,
                                    const ::opentelemetry::sdk::metrics::ScopeMetrics& scope, std::size_t& next) {
        detail::message metrics(plug_.room());
        auto result = detail::ExportResult::kSuccess;
        while (next < scope.metric_data_.size() && metrics.size() < most) {
            const auto& metric = scope.metric_data_[next++];
            detail::metric_encoder encoder(metrics, metric);
            if (!encoder.append(2) && !encoder.is_empty()) result = plug_.unknown(metric.instrument_descriptor.name_);
        }
        if (metrics.size() == 0) return result;
        const auto stored = plug_.store(metrics, resource, scope.scope_);
        return result == detail::ExportResult::kSuccess ? stored : result;
    }

    ::opentelemetry::sdk::metrics::AggregationTemporalitySelector temporality_;
};

}  // namespace spanspool::otel

#endif  // SPANSPOOL_OPENTELEMETRY_HPP
