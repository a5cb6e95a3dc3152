// Puts spanspool_opentelemetry.hpp through its promises.
//   same SPOOL OURS STOCK    makes records of all kinds, for our exporters and for the SDK's own OTLP exporters
//   own SPOOL OURS           makes those that the SDK's own exporters send otherwise or not at all
//   promises SPOOL OURS      looks at what is not sent: unsampled spans, errors, shutdown
// OURS and STOCK are URLs of receivers, without a path.

#include <spanspool_opentelemetry.hpp>

#include "../c/check.h"

#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_log_record_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_log_record_exporter_options.h>
#include <opentelemetry/exporters/otlp/otlp_http_metric_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_metric_exporter_options.h>
#include <opentelemetry/metrics/async_instruments.h>
#include <opentelemetry/metrics/observer_result.h>
#include <opentelemetry/metrics/sync_instruments.h>
#include <opentelemetry/sdk/logs/logger_provider.h>
#include <opentelemetry/sdk/logs/simple_log_record_processor.h>
#include <opentelemetry/sdk/metrics/export/periodic_exporting_metric_reader.h>
#include <opentelemetry/sdk/metrics/meter_provider.h>
#include <opentelemetry/sdk/trace/batch_span_processor.h>
#include <opentelemetry/sdk/trace/sampler.h>
#include <opentelemetry/sdk/trace/simple_processor.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>

#include <iostream>
#include <limits>
#include <map>
#include <set>
#include <thread>

namespace api = opentelemetry;
namespace sdk = opentelemetry::sdk;
namespace otlp = opentelemetry::exporter::otlp;
namespace otel = spanspool::otel;
using api::common::AttributeValue;
using api::nostd::string_view;
using Attributes = std::vector<std::pair<string_view, AttributeValue>>;

namespace {

// Values of all types, and those at their limits.
const bool bools[] = {true, false};
const std::int32_t int32s[] = {0, -1, std::numeric_limits<std::int32_t>::min()};
const std::uint32_t uint32s[] = {0, std::numeric_limits<std::uint32_t>::max()};
const std::int64_t int64s[] = {0, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
const std::uint64_t uint64s[] = {0, 1};
const double doubles[] = {0.0, -0.0, 1.5, std::numeric_limits<double>::infinity()};
const string_view texts[] = {"", "żółw 🐢", string_view("a\0b", 3)};
const std::uint8_t bytes[] = {0, 255, 128};
const std::string long_text(5000, 'x');

Attributes all_values() {
    return {
        {"bool", true},
        {"int32", std::int32_t{-5}},
        {"int64", std::int64_t{-5}},
        {"uint32", std::uint32_t{4'000'000'000}},
        {"uint64", std::uint64_t{5}},
        {"double", 0.1},
        {"c string", "text"},
        {"string", string_view("żółw 🐢")},
        {"bools", api::nostd::span<const bool>(bools)},
        {"int32s", api::nostd::span<const std::int32_t>(int32s)},
        {"uint32s", api::nostd::span<const std::uint32_t>(uint32s)},
        {"int64s", api::nostd::span<const std::int64_t>(int64s)},
        {"uint64s", api::nostd::span<const std::uint64_t>(uint64s)},
        {"doubles", api::nostd::span<const double>(doubles)},
        {"strings", api::nostd::span<const string_view>(texts)},
        {"bytes", api::nostd::span<const std::uint8_t>(bytes)},
        {"none", api::nostd::span<const string_view>()},
        {"no bytes", api::nostd::span<const std::uint8_t>()},
        {"false", false},
        {"zero", std::int64_t{0}},
        {"0.0", 0.0},
        {"empty", ""},
        {"long", string_view(long_text)},
        {"", "no key"},
        {"twice", 1},
        {"twice", 2},
    };
}

sdk::resource::Resource resource() {
    sdk::resource::ResourceAttributes attributes;
    for (const auto& each : all_values()) {
        // The SDK's own exporter loses those of a resource.
        const bool is_bytes = api::nostd::holds_alternative<api::nostd::span<const std::uint8_t>>(each.second);
        if (!is_bytes) attributes.SetAttribute(each.first, each.second);
    }
    attributes.SetAttribute("service.name", "tests");
    return sdk::resource::Resource::Create(attributes, "https://example.com/resource/1");
}

spanspool::config settings(const std::string& spool, const std::string& url) {
    auto made = otel::otlp_config(spool);
    made.set("endpoint", url).set("schedule_delay_ms", "3600000");
    return made;
}

api::trace::SpanContext remote() {
    const std::uint8_t trace[16] = {1, 2, 3}, span[8] = {4, 5, 6};
    return {api::trace::TraceId(trace), api::trace::SpanId(span), api::trace::TraceFlags(1), true,
            api::trace::TraceState::FromHeader("vendor=a value,other=1")};
}

template <class Base>
std::vector<std::unique_ptr<Base>> both(std::unique_ptr<Base> one, std::unique_ptr<Base> other) {
    std::vector<std::unique_ptr<Base>> all;
    all.push_back(std::move(one));
    all.push_back(std::move(other));
    return all;
}

void spans(api::trace::TracerProvider& provider) {
    using api::trace::SpanKind;
    const auto attributes = all_values();
    const auto tracer = provider.GetTracer("a scope", "1.0", "https://example.com/scope/1");
    const auto bare = provider.GetTracer("");

    api::trace::StartSpanOptions options;
    options.start_system_time = api::common::SystemTimestamp(std::chrono::nanoseconds(1'700'000'000'123'456'789));
    options.start_steady_time = api::common::SteadyTimestamp(std::chrono::nanoseconds(5));
    options.parent = remote();
    for (const auto kind : {SpanKind::kInternal, SpanKind::kServer, SpanKind::kClient, SpanKind::kProducer,
                            SpanKind::kConsumer}) {
        options.kind = kind;
        const std::vector<std::pair<api::trace::SpanContext, Attributes>> links = {
            {remote(), attributes}, {api::trace::SpanContext::GetInvalid(), {}}};
        const auto span = tracer->StartSpan("all", attributes, links, options);
        span->AddEvent("");
        span->AddEvent("żółw", api::common::SystemTimestamp(std::chrono::nanoseconds(7)), attributes);
        span->SetAttribute("later", "a value");
        span->SetStatus(api::trace::StatusCode::kError, "a description");
        span->UpdateName("a name that is longer");
        span->AddEvent("last");
        api::trace::EndSpanOptions end;
        end.end_steady_time = api::common::SteadyTimestamp(std::chrono::nanoseconds(1005));
        span->End(end);
    }
    const auto ok = bare->StartSpan("ok");
    ok->SetStatus(api::trace::StatusCode::kOk, "what only an error has");
    ok->UpdateName("");
    ok->End();
    const auto unset = tracer->StartSpan("");
    unset->SetStatus(api::trace::StatusCode::kUnset, "a description");
    unset->End();
    const auto many = tracer->StartSpan("many");
    for (int n = 0; n < 10'000; ++n) many->SetAttribute(std::to_string(n), n);
    many->End();
    bare->StartSpan("nothing")->End();
}

void records(api::logs::LoggerProvider& provider) {
    const auto logger = provider.GetLogger("a logger", "a scope", "1.0", "https://example.com/scope/1");
    for (const auto& each : all_values()) {
        auto record = logger->CreateLogRecord();
        record->SetBody(each.second);
        record->SetAttribute(each.first, each.second);
        logger->EmitLogRecord(std::move(record));
    }
    for (int severity = 0; severity <= 24; ++severity) {
        auto record = logger->CreateLogRecord();
        record->SetSeverity(static_cast<api::logs::Severity>(severity));
        record->SetTimestamp(api::common::SystemTimestamp(std::chrono::nanoseconds(severity)));
        record->SetObservedTimestamp(api::common::SystemTimestamp(std::chrono::nanoseconds(7)));
        record->SetBody("first");
        record->SetAttribute("between", true);
        record->SetBody("the body");
        record->SetTraceId(remote().trace_id());
        record->SetSpanId(remote().span_id());
        record->SetTraceFlags(remote().trace_flags());
        logger->EmitLogRecord(std::move(record));
    }
    const auto bare = provider.GetLogger("", "");
    bare->EmitLogRecord(bare->CreateLogRecord());
}

// Hands what a reader collects to both.
struct Tee : sdk::metrics::PushMetricExporter {
    std::unique_ptr<sdk::metrics::PushMetricExporter> ours, stock;

    sdk::common::ExportResult Export(const sdk::metrics::ResourceMetrics& data) noexcept override {
        stock->Export(data);
        return ours->Export(data);
    }
    sdk::metrics::AggregationTemporality GetAggregationTemporality(
        sdk::metrics::InstrumentType type) const noexcept override {
        return ours->GetAggregationTemporality(type);
    }
    bool ForceFlush(std::chrono::microseconds timeout) noexcept override { return ours->ForceFlush(timeout); }
    bool Shutdown(std::chrono::microseconds timeout) noexcept override { return ours->Shutdown(timeout); }
};

void instruments(api::metrics::MeterProvider& provider) {
    const auto meter = provider.GetMeter("a scope", "1.0", "https://example.com/scope/1");
    const std::map<std::string, std::string> labels = {{"a", "1"}, {"b", "żółw"}};
    meter->CreateUInt64Counter("counter", "what it counts", "{thing}")->Add(5, labels);
    meter->CreateDoubleCounter("real counter")->Add(1.5);
    meter->CreateInt64UpDownCounter("up and down")->Add(-3, labels);
    const auto histogram = meter->CreateDoubleHistogram("histogram", "", "s");
    for (const auto value : {0.0, 7.5, 1e9}) histogram->Record(value, labels, api::context::Context{});
    meter->CreateUInt64Histogram("whole histogram")->Record(3, api::context::Context{});
    static const auto gauge = meter->CreateInt64ObservableGauge("gauge");
    gauge->AddCallback(
        [](api::metrics::ObserverResult result, void*) {
            api::nostd::get<api::nostd::shared_ptr<api::metrics::ObserverResultT<std::int64_t>>>(result)->Observe(-7);
        },
        nullptr);
    provider.GetMeter("another scope")->CreateUInt64Counter("zero")->Add(0);
}

void same(const char* spool, const std::string& ours, const std::string& stock) {
    auto config = settings(spool, ours);
    {
        otlp::OtlpHttpExporterOptions options;
        options.url = stock + "/v1/traces";
        options.content_type = otlp::HttpRequestContentType::kBinary;
        sdk::trace::TracerProvider provider(
            both<sdk::trace::SpanProcessor>(std::make_unique<otel::span_processor>(config),
                                            std::make_unique<sdk::trace::SimpleSpanProcessor>(
                                                otlp::OtlpHttpExporterFactory::Create(options))),
            resource());
        spans(provider);
        CHECK(provider.ForceFlush());
    }
    {
        otlp::OtlpHttpLogRecordExporterOptions options;
        options.url = stock + "/v1/logs";
        options.content_type = otlp::HttpRequestContentType::kBinary;
        sdk::logs::LoggerProvider provider(
            both<sdk::logs::LogRecordProcessor>(std::make_unique<otel::log_record_processor>(config),
                                                std::make_unique<sdk::logs::SimpleLogRecordProcessor>(
                                                    otlp::OtlpHttpLogRecordExporterFactory::Create(options))),
            resource());
        records(provider);
        CHECK(provider.ForceFlush());
    }
    otlp::OtlpHttpMetricExporterOptions options;
    options.url = stock + "/v1/metrics";
    options.content_type = otlp::HttpRequestContentType::kBinary;
    auto tee = std::make_unique<Tee>();
    tee->ours = std::make_unique<otel::metric_exporter>(config);
    tee->stock = otlp::OtlpHttpMetricExporterFactory::Create(options);
    sdk::metrics::PeriodicExportingMetricReaderOptions period;
    period.export_interval_millis = std::chrono::hours(1);
    period.export_timeout_millis = std::chrono::minutes(1);
    sdk::metrics::MeterProvider provider(std::make_unique<sdk::metrics::ViewRegistry>(), resource());
    provider.AddMetricReader(std::make_shared<sdk::metrics::PeriodicExportingMetricReader>(std::move(tee), period));
    instruments(provider);
    CHECK(provider.ForceFlush());
    CHECK(provider.Shutdown());
}

// The SDK's internal log.
struct Log : sdk::common::internal_log::LogHandler {
    std::mutex mutex;
    std::vector<std::string> lines;

    void Handle(sdk::common::internal_log::LogLevel, const char*, int, const char* line,
                const sdk::common::AttributeMap&) noexcept override {
        const std::lock_guard<std::mutex> lock(mutex);
        if (std::string_view(line).substr(0, 11) == "[spanspool]") lines.emplace_back(line);
    }
};

Log& log() {
    static auto* handler = [] {
        auto* made = new Log;
        using sdk::common::internal_log::GlobalLogHandler;
        GlobalLogHandler::SetLogHandler(api::nostd::shared_ptr<sdk::common::internal_log::LogHandler>(made));
        return made;
    }();
    return *handler;
}

void own(const char* spool, const std::string& url) {
    auto config = settings(spool, url);
    sdk::trace::TracerProvider traces(std::make_unique<otel::span_processor>(config));
    const auto tracer = traces.GetTracer("bad \xFF\xFE scope");
    const auto span = tracer->StartSpan("a\xC3");
    span->SetAttribute("\xF0\x9F\x90", "\xED\xA0\x80 surrogate, overlong \xC0\xAF, cut \xF0\x9F\x90");
    span->SetAttribute("above", std::numeric_limits<std::uint64_t>::max());
    span->SetStatus(api::trace::StatusCode::kError, "not yet");
    span->SetStatus(api::trace::StatusCode::kOk);
    span->End();
    sdk::logs::LoggerProvider logs(std::make_unique<otel::log_record_processor>(config));
    const auto logger = logs.GetLogger("a logger", "a scope");
    auto record = logger->CreateLogRecord();
    record->SetEventId(5, "an.event");
    logger->EmitLogRecord(std::move(record));
}

struct RecordOnly : sdk::trace::Sampler {
    sdk::trace::SamplingResult ShouldSample(const api::trace::SpanContext&, api::trace::TraceId, string_view,
                                            api::trace::SpanKind, const api::common::KeyValueIterable&,
                                            const api::trace::SpanContextKeyValueIterable&) noexcept override {
        return {sdk::trace::Decision::RECORD_ONLY, nullptr, api::trace::TraceState::GetDefault()};
    }
    string_view GetDescription() const noexcept override { return "records and does not sample"; }
};

std::uint64_t accepted(const spanspool::client& client) { return client.stats().accepted; }

void unsampled_spans_are_skipped(spanspool::config& config) {
    auto processor = std::make_unique<otel::span_processor>(config);
    const auto& client = processor->client();
    sdk::trace::TracerProvider provider(std::move(processor), sdk::resource::Resource::GetEmpty(),
                                        std::make_unique<RecordOnly>());
    provider.GetTracer("a scope")->StartSpan("unsampled")->End();
    CHECK(accepted(client) == 0);
}

void losses_are_told_once_and_counted(spanspool::config& config) {
    config.set("max_item_bytes", "4096");
    auto processor = std::make_unique<otel::span_processor>(config);
    config.set("max_item_bytes", "1048576");
    const auto& client = processor->client();
    sdk::trace::TracerProvider provider(std::move(processor));
    const auto tracer = provider.GetTracer("a scope");
    log().lines.clear();
    for (int n = 0; n < 3; ++n) tracer->StartSpan(long_text)->End();
    CHECK(log().lines.size() == 1);
    CHECK(log().lines[0].find("a record was not stored: ") != std::string::npos);
    tracer->StartSpan("short")->End();
    CHECK(log().lines.size() == 2 && log().lines[1] == "[spanspool] 2 more records were not stored");
    CHECK(accepted(client) == 1);
    CHECK(provider.Shutdown() && provider.Shutdown());
    for (int n = 0; n < 3; ++n) tracer->StartSpan("late")->End();
    CHECK(log().lines.size() == 3);
    CHECK(accepted(client) == 1 && provider.ForceFlush());
}

void simple_processors_of_the_sdk_make_durable(spanspool::config& config) {
    auto spans = std::make_unique<otel::span_exporter>(config);
    const auto& client = spans->client();
    sdk::trace::TracerProvider provider(std::make_unique<sdk::trace::SimpleSpanProcessor>(std::move(spans)));
    provider.GetTracer("a scope")->StartSpan("one")->End();
    CHECK(accepted(client) == 1);

    auto records = std::make_unique<otel::log_record_exporter>(config);
    const auto& logged = records->client();
    sdk::logs::LoggerProvider loggers(std::make_unique<sdk::logs::SimpleLogRecordProcessor>(std::move(records)));
    static_cast<api::logs::LoggerProvider&>(loggers).GetLogger("a logger", "a scope")->Info("a line");
    CHECK(accepted(logged) == 1);
}

void batching_processors_of_the_sdk_export(spanspool::config& config) {
    auto exporter = std::make_unique<otel::span_exporter>(config);
    const auto& client = exporter->client();
    sdk::trace::TracerProvider provider(
        std::make_unique<sdk::trace::BatchSpanProcessor>(std::move(exporter), sdk::trace::BatchSpanProcessorOptions{}));
    for (int n = 0; n < 10; ++n) provider.GetTracer("a scope")->StartSpan("one of ten")->End();
    CHECK(provider.ForceFlush(std::chrono::seconds(60)));
    CHECK(accepted(client) == 10);
}

// Also more scopes than are remembered, and others at the same addresses.
void threads_and_scopes(spanspool::config& config) {
    auto processor = std::make_unique<otel::span_processor>(config);
    const auto& client = processor->client();
    for (int round = 0; round < 3; ++round) {
        const auto from = sdk::resource::Resource::Create({{"round", round}});
        const auto scope = sdk::instrumentationscope::InstrumentationScope::Create("round " + std::to_string(round));
        auto record = processor->MakeRecordable();
        record->SetTraceFlags(api::trace::TraceFlags(1));
        record->SetResource(from);
        record->SetInstrumentationScope(*scope);
        record->SetName("round");
        processor->OnEnd(std::move(record));
    }
    sdk::trace::TracerProvider provider(std::move(processor));
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&provider, thread] {
            for (int n = 0; n < 200; ++n) {
                const auto name = std::to_string(thread) + "/" + std::to_string(n);
                provider.GetTracer("scope of " + name)->StartSpan(name)->End();
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(accepted(client) == 803);
}

void wrong_settings_throw(const char* spool) {
    const auto status = [](auto make) {
        try {
            make();
            return SPANSPOOL_OK;
        } catch (const spanspool::error& error) {
            return static_cast<decltype(SPANSPOOL_OK)>(error.status());
        }
    };
    CHECK(status([] { otel::span_processor(""); }) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes", 1);
    CHECK(status([&] { otel::metric_exporter{spool}; }) == SPANSPOOL_ERR_INVALID_ARGUMENT);
    setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta", 1);
    CHECK(otel::metric_exporter(spool).GetAggregationTemporality(sdk::metrics::InstrumentType::kCounter) ==
          sdk::metrics::AggregationTemporality::kDelta);
    unsetenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE");
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    log();
    if (what == "same" && argc == 5) return same(argv[2], argv[3], argv[4]), verdict();
    if (what == "own" && argc == 4) return own(argv[2], argv[3]), 0;
    if (what != "promises" || argc != 4) return std::cerr << "usage: see the source\n", 2;
    // A lane's counters go on in the next client, so each has a spool of its own.
    const auto with_spool = [&](const char* name, auto check) {
        auto config = settings(std::string(argv[2]) + "-" + name, argv[3]);
        check(config);
    };
    with_spool("unsampled", unsampled_spans_are_skipped);
    with_spool("losses", losses_are_told_once_and_counted);
    with_spool("simple", simple_processors_of_the_sdk_make_durable);
    with_spool("batching", batching_processors_of_the_sdk_export);
    with_spool("scopes", threads_and_scopes);
    wrong_settings_throw(argv[2]);
    return verdict();
}
