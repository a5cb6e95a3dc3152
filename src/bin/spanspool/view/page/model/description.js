// What a span is, whichever form it came in, as the page shows it:
//   name, kind, id, parent, model
//   start, end       microseconds or null
//   error            {message, data} or null
//   messages         {input, output}, see messages.js
//   tool             {name, arguments, result} or null
//   tokens           [[label, number], …]
//   sections         [[title, [[key, value], …]], …]: attributes, resource and so on
//   events           [{name, at, attributes}, …]

import { describeAgentsSpan } from './agents.js';
import { describeOtlpSpan } from './otlp.js';

/** The description of an answer of `api/span`. */
export function describe({ form, item }) {
    return form === 'otlp' ? describeOtlpSpan(item) : describeAgentsSpan(item);
}
