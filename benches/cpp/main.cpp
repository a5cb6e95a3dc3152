// What the durable processor for opentelemetry-cpp costs, next to the SDK's own.
//   bench prices    a span with ten attributes that are strings, from its start to the return of End
//   bench losses    spans lost when the process is killed with SIGKILL

#include <spanspool_opentelemetry.hpp>

#include "receiver.hpp"

#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/sdk/trace/batch_span_processor.h>
#include <opentelemetry/sdk/trace/simple_processor.h>
#include <opentelemetry/sdk/trace/span_data.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>

#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

namespace api = opentelemetry;
namespace sdk = opentelemetry::sdk;
namespace otlp = opentelemetry::exporter::otlp;
using std::chrono::steady_clock;

static constexpr auto span_name = "lookup_order";

/** Starts and ends a span. */
static void one_span(api::trace::Tracer& tracer) {
    static const char* const keys[] = {"attribute.0", "attribute.1", "attribute.2", "attribute.3", "attribute.4",
                                       "attribute.5", "attribute.6", "attribute.7", "attribute.8", "attribute.9"};
    const auto span = tracer.StartSpan(span_name);
    for (const auto* key : keys) span->SetAttribute(key, "a value of some length");
    span->End();
}

/** Exports nothing. */
struct nothing : sdk::trace::SpanExporter {
    std::unique_ptr<sdk::trace::Recordable> MakeRecordable() noexcept override {
        return std::make_unique<sdk::trace::SpanData>();
    }
    sdk::common::ExportResult Export(
        const api::nostd::span<std::unique_ptr<sdk::trace::Recordable>>&) noexcept override {
        return sdk::common::ExportResult::kSuccess;
    }
    bool ForceFlush(std::chrono::microseconds) noexcept override { return true; }
    bool Shutdown(std::chrono::microseconds) noexcept override { return true; }
};

static std::unique_ptr<sdk::trace::SpanExporter> stock(const std::string& url) {
    otlp::OtlpHttpExporterOptions options;
    options.url = url + "/v1/traces";
    options.content_type = otlp::HttpRequestContentType::kBinary;
    return otlp::OtlpHttpExporterFactory::Create(options);
}

static std::unique_ptr<sdk::trace::SpanProcessor> simple(std::unique_ptr<sdk::trace::SpanExporter> exporter) {
    return std::make_unique<sdk::trace::SimpleSpanProcessor>(std::move(exporter));
}

static double median(std::vector<double> of) {
    std::nth_element(of.begin(), of.begin() + of.size() / 2, of.end());
    return of[of.size() / 2];
}

/** A way of exporting, and what a span took in each round. */
struct way {
    const char* name;
    int spans;  // in a round
    std::unique_ptr<sdk::trace::TracerProvider> provider;
    std::vector<double> took = {};
};

/** The ways take turns, so that all meet the same machine; the ratio is the median of the rounds' ratios. */
static void prices(const std::string& spool) {
    receiver receiver(span_name);
    auto config = spanspool::otel::otlp_config(spool);
    config.set("endpoint", receiver.url()).set("schedule_delay_ms", "3600000");
    const auto of = [](auto processor) { return std::make_unique<sdk::trace::TracerProvider>(std::move(processor)); };
    way ways[] = {
        {"SimpleSpanProcessor, nothing exported", 5000, of(simple(std::make_unique<nothing>()))},
        {"span_processor", 5000, of(std::make_unique<spanspool::otel::span_processor>(config))},
        {"span_exporter after SimpleSpanProcessor", 5000,
         of(simple(std::make_unique<spanspool::otel::span_exporter>(config)))},
        {"SimpleSpanProcessor and the OTLP exporter", 50, of(simple(stock(receiver.url())))},
    };
    for (int round = 0; round < 41; ++round) {
        for (auto& way : ways) {
            const auto tracer = way.provider->GetTracer("a scope");
            const auto begun = steady_clock::now();
            for (int n = 0; n < way.spans; ++n) one_span(*tracer);
            const std::chrono::duration<double, std::nano> took = steady_clock::now() - begun;
            if (round > 0) way.took.push_back(took.count() / way.spans);  // the first one warms up
            if (!way.provider->ForceFlush(std::chrono::seconds(60))) throw std::runtime_error("not delivered");
        }
    }
    for (const auto& way : ways) {
        std::vector<double> ratios;
        for (std::size_t at = 0; at < way.took.size(); ++at) ratios.push_back(way.took[at] / ways[0].took[at]);
        std::printf("%-46s %9.0f ns  %7.2f x\n", way.name, median(way.took), median(ratios));
    }
}

/** Ends about a thousand spans a second, and says each time that one was ended. */
[[noreturn]] static void end_forever(std::unique_ptr<sdk::trace::SpanProcessor> processor, int told) {
    sdk::trace::TracerProvider provider(std::move(processor));
    const auto tracer = provider.GetTracer("a scope");
    for (;;) {
        one_span(*tracer);
        if (::write(told, "", 1) != 1) std::_Exit(1);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

/** How many spans a child ended in 8 seconds. The SDK's batching processor exports every 5, and what is in it then. */
template <class Child>
static long killed(Child child) {
    int ended[2];
    if (::pipe(ended) != 0) throw std::runtime_error("no pipe");
    const pid_t pid = ::fork();
    if (pid == 0) child(ended[1]);
    ::close(ended[1]);
    std::thread([pid] {
        std::this_thread::sleep_for(std::chrono::seconds(8));
        ::kill(pid, SIGKILL);
    }).detach();
    long count = 0;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(ended[0], buffer, sizeof buffer)) > 0;) count += got;
    ::waitpid(pid, nullptr, 0);
    ::close(ended[0]);
    return count;
}

static void losses(const std::string& spool) {
    receiver at_stock(span_name), at_ours(span_name);
    const auto print = [](const char* name, long ended, long arrived) {
        // One more may have ended than the child had time to say.
        std::printf("%-24s %6ld ended, %6ld arrived, %6ld lost\n", name, ended, arrived, std::max(0L, ended - arrived));
    };
    const auto ended = killed([&](int told) {
        end_forever(std::make_unique<sdk::trace::BatchSpanProcessor>(stock(at_stock.url()),
                                                                     sdk::trace::BatchSpanProcessorOptions{}), told);
    });
    print("BatchSpanProcessor", ended, at_stock.spans());

    const auto config = [&] {
        auto made = spanspool::otel::otlp_config(spool);
        made.set("endpoint", at_ours.url());
        return made;
    };
    const auto kept = killed(
        [&](int told) { end_forever(std::make_unique<spanspool::otel::span_processor>(config()), told); });
    // The next process.
    if (!spanspool::otel::span_processor(config()).Shutdown(std::chrono::seconds(60))) {
        throw std::runtime_error("not delivered");
    }
    print("span_processor", kept, at_ours.spans());
}

int main(int argc, char** argv) {
    const std::string_view what = argc == 2 ? argv[1] : "";
    char dir[] = "/tmp/spool-XXXXXX";
    if ((what != "prices" && what != "losses") || ::mkdtemp(dir) == nullptr) {
        return std::fputs("usage: bench prices|losses\n", stderr), 2;
    }
    what == "prices" ? prices(dir) : losses(dir);
    std::filesystem::remove_all(dir);
}
